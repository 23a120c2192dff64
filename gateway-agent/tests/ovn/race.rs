//! The race, with a chassis for a pod: the gateway port moves, a controller is stopped, a chassis
//! is killed, and FIPs come and go all the while. What is claimed is looked up in the flows of
//! the chassis that is said to have it, each time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lab::{Lab, Plane};

/// FIPs by number.
type Fips = BTreeSet<u8>;

/// Both families of each: addresses outside and inside.
fn pairs(n: u8) -> [(String, String); 2] {
    [
        (format!("10.155.30.{n}"), format!("10.244.1.{n}")),
        (
            format!("2001:db8:1::{n:x}"),
            format!("fd00:10:244::1:{n:x}"),
        ),
    ]
}

fn lines(fips: &Fips) -> Vec<String> {
    let of = |n: &u8| {
        let n = *n;
        pairs(n).into_iter().flat_map(move |(outside, inside)| {
            [
                format!("addr e{n} 1 {outside} outside"),
                format!("fip f{n} 1 {outside} {inside} both"),
            ]
        })
    };
    fips.iter().flat_map(of).collect()
}

/// What the agent's report would say: the FIPs that it claims, by which chassis, and those
/// that it says are gone.
#[derive(Default)]
struct Claims {
    /// Acknowledged last.
    acked: Fips,
    /// Asked for now.
    wanted: Fips,
}

impl Claims {
    fn present(&self) -> impl Iterator<Item = u8> {
        self.acked.intersection(&self.wanted).copied()
    }

    /// Those that nobody has by this claim: neither acknowledged nor asked for.
    fn absent<'a>(&'a self, all: &'a Fips) -> impl Iterator<Item = u8> {
        let gone = |n: &&u8| !self.acked.contains(n) && !self.wanted.contains(n);
        all.iter().filter(gone).copied()
    }
}

/// What happens to the network, and when which chassis began to host.
struct Scene<'a> {
    lab: &'a Lab,
    began: Mutex<BTreeMap<&'static str, Vec<(String, Instant)>>>,
    over: AtomicBool,
}

impl Scene<'_> {
    /// Waits until a chassis hosts, and notes it.
    fn hosted(&self, what: &'static str, chassis: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.lab.hosting() != chassis {
            assert!(Instant::now() < deadline, "{what}: {chassis} does not host");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut began = self.began.lock().expect("a lock");
        let began = began.entry(what).or_default();
        began.push((chassis.to_owned(), Instant::now()));
    }

    fn play(&self) {
        let pause = |secs| std::thread::sleep(Duration::from_secs(secs));
        for (chassis, priority) in [
            ("chassis2", 50),
            ("chassis1", 60),
            ("chassis2", 70),
            ("chassis1", 80),
        ] {
            pause(4);
            let set = format!("lrp-set-gateway-chassis r1-outside {chassis} {priority}");
            self.lab.nbctl(&set);
            self.hosted("moved", chassis);
        }
        pause(4);
        self.lab.chassis("stop-controller", 1);
        pause(30);
        self.lab.chassis("continue-controller", 1);
        pause(4);
        self.lab.chassis("kill-chassis", 1);
        self.hosted("killed", "chassis2");
        pause(5);
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Whether the flows of a chassis translate a FIP, in both families: `None` where in one only.
fn translates(flows: &str, n: u8) -> Option<bool> {
    let has = |what: String| flows.contains(&what);
    let found: BTreeSet<bool> = pairs(n)
        .into_iter()
        .flat_map(|(outside, inside)| {
            let closed = |address: &str| match address.contains(':') {
                true => address.to_owned(),
                false => format!("{address})"),
            };
            [
                has(format!("nat(dst={}", closed(&inside))),
                has(format!("nat(src={}", closed(&outside))),
            ]
        })
        .collect();
    match (found.contains(&true), found.contains(&false)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

/// Looks a claim up; false where the network is another by now.
fn judge(lab: &Lab, chassis: &str, claims: &Claims, all: &Fips) -> bool {
    let number = chassis.trim_start_matches("chassis");
    let flows = lab.network.run("flows", &[number]);
    // What is said of a chassis that does not host any more is out of date, not wrong.
    if lab.hosting() != chassis {
        return false;
    }
    let Ok(flows) = flows else { return false };
    for n in claims.present() {
        let has = translates(&flows, n);
        assert_eq!(has, Some(true), "FIP {n} is claimed of {chassis}");
    }
    for n in claims.absent(all) {
        let has = translates(&flows, n);
        assert_eq!(
            has,
            Some(false),
            "FIP {n} is said to be gone from {chassis}"
        );
    }
    true
}

/// One round of the agent: another FIP comes or goes, and what is claimed then.
fn round(plane: &mut Plane, claims: &mut Claims, all: &Fips, n: usize) -> bool {
    let at = u8::try_from(n % all.len()).expect("small");
    let fip = all.iter().nth(usize::from(at)).copied().expect("one");
    if !claims.wanted.remove(&fip) {
        claims.wanted.insert(fip);
    }
    let lines = lines(&claims.wanted);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let applied = plane.try_next(&lines).is_ok();
    if applied {
        claims.acked.clone_from(&claims.wanted);
    }
    applied
}

#[test]
fn the_flows_of_the_hosting_chassis_have_all_that_is_claimed() {
    let lab = Lab::up();
    let mut plane = lab.plane("one");
    let all: Fips = (101..=130).collect();
    let mut claims = Claims {
        wanted: all.clone(),
        ..Claims::default()
    };
    let first = lines(&all);
    plane.hold(&first.iter().map(String::as_str).collect::<Vec<_>>());
    claims.acked.clone_from(&all);
    let scene = Scene {
        lab: &lab,
        began: Mutex::default(),
        over: AtomicBool::new(false),
    };
    let mut heard: Vec<(String, i64, Instant)> = Vec::new();
    let (mut judged, mut refused) = (BTreeMap::<String, u32>::new(), 0);
    std::thread::scope(|threads| {
        let play = threads.spawn(|| scene.play());
        let mut n = 0;
        while !scene.over.load(Ordering::Relaxed) && !play.is_finished() {
            n += 1;
            // Now and then nothing is asked, as long as nobody asks for anything.
            if n % 3 == 0 && !round(&mut plane, &mut claims, &all, n / 3) {
                refused += 1;
            }
            let seen = plane.look();
            let Some(hosting) = seen.hosting else {
                continue;
            };
            let last = heard.last().map(|(_, epoch, _)| *epoch);
            if last != Some(hosting.epoch) {
                assert!(last.is_none_or(|last| last < hosting.epoch));
                heard.push((hosting.chassis.clone(), hosting.epoch, Instant::now()));
            }
            if judge(&lab, &hosting.chassis, &claims, &all) {
                *judged.entry(hosting.chassis).or_default() += 1;
            }
        }
        play.join().expect("played");
    });
    println!("claims looked up: {judged:?}; not acknowledged at once: {refused}; heard: {heard:?}");
    assert!(judged.len() == 2 && judged.values().all(|count| *count >= 10));
    assert!(refused > 0, "the stopped controller acknowledged");
    // Heard within 3 s of each beginning.
    let began = scene.began.into_inner().expect("a lock");
    for (what, chassis, at) in began
        .iter()
        .flat_map(|(what, all)| all.iter().map(move |(chassis, at)| (what, chassis, at)))
    {
        let answer = heard
            .iter()
            .find(|(of, _, heard)| of == chassis && *heard + Duration::from_millis(500) >= *at);
        let took = answer.map(|(_, _, heard)| heard.saturating_duration_since(*at));
        println!("{what}: {chassis} acknowledged after {took:?}");
        assert!(
            took.is_some_and(|took| took <= Duration::from_secs(3)),
            "{what}: {took:?}"
        );
    }
}
