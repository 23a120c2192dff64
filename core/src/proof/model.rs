//! Small worlds, looked at exhaustively: every order of what may happen, to a
//! depth, with a bounded number of faults. A state that was seen before is not
//! looked at again; from every last state faults stop, and all must become true.
#![allow(
    clippy::disallowed_methods,
    reason = "reads how many states were counted last time"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;

mod chassis;

use super::kernel::Luck;
use super::machine::Sight;
use super::random::Random;
use super::user::Wish;
use super::world::{NODES, World};
use crate::operator::event::Kind;

/// One step: all that a part does at its turn, or a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// An operator sees all that there is, decides, and sends.
    Operator(usize),
    /// It goes on until it wants nothing more: all that it sends lands, and is heard of.
    Works(usize),
    /// It decides and sends by what it saw before.
    Stale(usize),
    /// Its oldest request lands, and it hears of it.
    Lands(usize),
    /// The same, and it never hears of it.
    LandsUnheard(usize),
    /// An agent sees all that there is, and works until it waits.
    Agent(usize),
    /// It sees all, changes its kernel, and does not report.
    Commits(usize),
    /// Deployments, scheduler, kubelets, collector.
    Cluster,
    /// The clock goes to what falls due next.
    Time,
    /// The next of the user's wishes.
    User,
    /// An operator dies.
    Crash(usize),
    /// An agent's process dies.
    Kill(usize),
    /// A node loses power and boots anew.
    Reboot(usize),
    /// A user deletes a machine's pod.
    DeletePod(usize),
}

/// A bounded configuration.
#[derive(Clone)]
struct Scenario {
    name: &'static str,
    /// What users have asked before, and come to have.
    first: &'static [Wish],
    /// What they do meanwhile, in this order.
    wishes: &'static [Wish],
    faults: &'static [Step],
    /// How many faults there are at most, and how many steps.
    faults_max: usize,
    depth: usize,
    /// What must be reached somewhere.
    sometimes: &'static [&'static str],
}

const SERVING: &[Wish] = &[Wish::Eip(0, false), Wish::Fip(0)];

const SHORT: Scenario = Scenario {
    name: "a FIP is deleted while the pod is replaced, short",
    first: SERVING,
    wishes: &[Wish::DropFip(0)],
    faults: &[Step::DeletePod(0)],
    faults_max: 1,
    depth: 2,
    sometimes: &[],
};

const LONG: [Scenario; 5] = [
    Scenario {
        name: "a FIP is deleted while the pod is replaced",
        depth: 5,
        sometimes: &["an instance reports that it has given up"],
        ..SHORT
    },
    Scenario {
        name: "an EIP moves, and an operator dies",
        wishes: &[Wish::Move(0, 1)],
        faults: &[Step::Crash(0), Step::Crash(1)],
        depth: 5,
        sometimes: &["an operator dies", "an EIP is moved"],
        ..SHORT
    },
    Scenario {
        name: "a FIP changes there and back, and the agent dies between commit and report",
        wishes: &[Wish::Retarget(0, 6), Wish::Retarget(0, 5)],
        faults: &[Step::Kill(0)],
        depth: 5,
        sometimes: &["an agent dies between commit and report"],
        ..SHORT
    },
    Scenario {
        name: "an EIP is made anew under its name, and the node boots anew",
        wishes: &[Wish::DropFip(0), Wish::DropEip(0), Wish::Eip(0, false)],
        faults: &[Step::Reboot(0)],
        depth: 5,
        sometimes: &["a node boots anew"],
        ..SHORT
    },
    Scenario {
        name: "two faults at once under a new FIP",
        first: &[Wish::Eip(0, false)],
        wishes: &[Wish::Fip(0)],
        faults: &[Step::Crash(0), Step::Kill(0), Step::DeletePod(0)],
        faults_max: 2,
        depth: 4,
        ..SHORT
    },
];

impl World {
    /// The machine of the first gateway that a step means.
    fn first_machine(&self, n: usize) -> Option<usize> {
        let mut living = self.living().into_iter();
        let of_first = |m: &usize| self.machines[*m].gateway.name == super::world::GATEWAYS[0];
        living.by_ref().filter(of_first).nth(n)
    }

    /// Whether a step changes anything is seen by what it does to the state.
    fn step(&mut self, step: Step) {
        match step {
            Step::Operator(who) => self.see_and_work(who),
            Step::Works(who) => {
                for _ in 0..20 {
                    self.see_and_work(who);
                    if !self.land_oldest(who, false) {
                        break;
                    }
                    while self.land_oldest(who, false) {}
                }
            }
            Step::Stale(who) => self.work(who),
            Step::Lands(who) | Step::LandsUnheard(who) => {
                self.land_oldest(who, matches!(step, Step::LandsUnheard(_)));
            }
            Step::Agent(n) | Step::Commits(n) => {
                let Some(n) = self.first_machine(n) else {
                    return;
                };
                let reports = matches!(step, Step::Agent(_));
                self.let_agent_work(n, reports);
            }
            Step::Cluster => {
                let _ = self.deploy(false) | self.place(0) | self.collect();
                for node in NODES {
                    let _ = self.node_status(node) | self.kubelet(node);
                }
            }
            Step::Time => {
                let due = self.due().unwrap_or(self.now).max(self.now + 1);
                self.pass(due - self.now);
            }
            Step::User => {}
            Step::Crash(who) => {
                self.sometimes("an operator dies");
                self.end_life(who);
            }
            Step::Kill(n) => {
                if let Some(n) = self.first_machine(n) {
                    self.end_process(n);
                }
            }
            Step::Reboot(n) => {
                if let Some(n) = self.first_machine(n) {
                    let node = self.machines[n].node;
                    self.power_off(node);
                    self.power_on(node);
                }
            }
            Step::DeletePod(n) => {
                if let Some(n) = self.first_machine(n) {
                    let pod = self.machines[n].pod.clone();
                    self.server.delete(&(Kind::Pod, None, pod));
                }
            }
        }
        self.look();
    }

    fn see_and_work(&mut self, who: usize) {
        for kind in Kind::ALL {
            self.list(who, kind);
            self.deliver(who, kind, usize::MAX, false);
        }
        self.work(who);
    }

    /// Whether there was anything under way.
    fn land_oldest(&mut self, who: usize, unheard: bool) -> bool {
        let from = self.sender_of(who);
        let Some(at) = self.requests.iter().position(|r| r.from == from) else {
            return false;
        };
        self.requests[at].mute = unheard;
        self.land(at);
        self.hear_all();
        true
    }

    fn work(&mut self, who: usize) {
        self.elect(who);
        self.poll(who);
        while let Some(at) =
            (0..self.contenders[who].queue.len()).find(|at| self.contenders[who].is_free(*at))
        {
            self.send(who, at);
        }
    }

    fn hear_all(&mut self) {
        while !self.replies.is_empty() {
            self.reply(0);
        }
    }

    fn let_agent_work(&mut self, n: usize, reports: bool) {
        for _ in 0..12 {
            let mut moved = false;
            for sight in Sight::BOTH {
                moved |= self.has_news(n, sight) && self.show(n, sight, false);
            }
            moved |= self.tick(n);
            let operated = self.operate(n, Luck::Done);
            if operated && !reports {
                return;
            }
            moved |= operated;
            moved |= self.hear(n);
            let life = self.machines[n].life;
            let mine = super::wire::Sender::Agent(n, life);
            while let Some(at) = self.requests.iter().position(|r| r.from == mine) {
                moved = true;
                self.land(at);
            }
            self.hear_all();
            if !moved {
                return;
            }
        }
    }

    /// What two states must have in common to be one.
    fn fingerprint(&self, place: (usize, usize)) -> u64 {
        struct Hash(DefaultHasher);
        impl fmt::Write for Hash {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.write(text.as_bytes());
                Ok(())
            }
        }
        let mut hash = Hash(DefaultHasher::new());
        let parts = (self.now, &self.server.objects, &self.leadership, place);
        write!(hash, "{parts:?}").unwrap();
        write!(hash, "{:?}{:?}", self.requests, self.replies).unwrap();
        write!(hash, "{:?}{:?}", self.contenders, self.machines).unwrap();
        hash.0.finish()
    }
}

/// What was found.
#[derive(Default)]
struct Explored {
    seen: BTreeSet<u64>,
    ends: usize,
    reached: BTreeMap<&'static str, u64>,
}

struct At {
    world: World,
    path: Vec<Step>,
    wishes: usize,
    faults: usize,
}

/// Looks at every state within the bounds; the first path that breaks something
/// comes back.
fn explore(scenario: &Scenario) -> Result<Explored, String> {
    let mut world = World::asked();
    for wish in scenario.first {
        world.wish(*wish);
    }
    world.go_on(20_000);
    assert_eq!(world.broken, None);
    assert_eq!(world.lies(None), Vec::<String>::new());
    world.forget();
    let mut steps: Vec<Step> = [0, 1]
        .iter()
        .flat_map(|who| {
            [
                Step::Operator(*who),
                Step::Works(*who),
                Step::Stale(*who),
                Step::Lands(*who),
                Step::LandsUnheard(*who),
                Step::Agent(*who),
                Step::Commits(*who),
            ]
        })
        .collect();
    steps.extend([Step::Cluster, Step::Time, Step::User]);
    let mut explored = Explored::default();
    // Breadth first: what is seen before was seen at no greater depth.
    let mut open = VecDeque::from([At {
        world,
        path: Vec::new(),
        wishes: 0,
        faults: 0,
    }]);
    while let Some(at) = open.pop_front() {
        let faults = match at.faults < scenario.faults_max {
            true => scenario.faults,
            false => &[],
        };
        let before = at.world.fingerprint((at.wishes, at.faults));
        for step in steps.iter().chain(faults) {
            let mut world = at.world.clone();
            let mut wishes = at.wishes;
            if *step == Step::User {
                let Some(wish) = scenario.wishes.get(wishes) else {
                    continue;
                };
                world.wish(*wish);
                wishes += 1;
            }
            world.step(*step);
            let mut path = at.path.clone();
            path.push(*step);
            let faults = at.faults + usize::from(faults.contains(step));
            let print = world.fingerprint((wishes, faults));
            // What changes nothing leads nowhere.
            if print == before || !explored.seen.insert(print) {
                continue;
            }
            tell(&mut explored, &world, &path)?;
            if path.len() == scenario.depth {
                explored.ends += 1;
                for wish in scenario.wishes.iter().skip(wishes) {
                    world.wish(*wish);
                }
                world.look();
                world.calm(&mut Random::new(print));
                tell(&mut explored, &world, &path)?;
                continue;
            }
            open.push_back(At {
                world,
                path,
                wishes,
                faults,
            });
        }
    }
    let missed: Vec<_> = scenario
        .sometimes
        .iter()
        .filter(|what| !explored.reached.contains_key(**what))
        .collect();
    match missed.is_empty() {
        true => Ok(explored),
        false => Err(format!("never reached: {missed:?}")),
    }
}

fn tell(explored: &mut Explored, world: &World, path: &[Step]) -> Result<(), String> {
    for what in world.reached.keys() {
        *explored.reached.entry(what).or_default() += 1;
    }
    match &world.broken {
        Some(words) => Err(format!("{words}\nby {path:?}")),
        None => Ok(()),
    }
}

/// The counts that stand for the scenarios; with BLESS=1 they are written anew.
fn check(scenarios: &[Scenario]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proof/states.txt");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut counts: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, count)| (name.to_owned(), count.to_owned()))
        .collect();
    let bless = std::env::var("BLESS").is_ok();
    // At once, each on a thread of its own.
    let ended: Vec<_> = std::thread::scope(|scope| {
        let begun: Vec<_> = scenarios
            .iter()
            .map(|scenario| scope.spawn(|| explore(scenario)))
            .collect();
        begun.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (scenario, ended) in scenarios.iter().zip(ended) {
        let explored = match ended {
            Ok(explored) => explored,
            Err(words) => panic!("{}: {words}", scenario.name),
        };
        let count = format!("{} states, {} ends", explored.seen.len(), explored.ends);
        println!("model: {}: {count}", scenario.name);
        for (what, times) in &explored.reached {
            println!("model:   sometimes {what}: in {times} states");
        }
        // One that was never counted is only told.
        let old = counts.insert(scenario.name.to_owned(), count.clone());
        let same = old.as_ref().is_none_or(|old| *old == count);
        assert!(bless || same, "{}: {count}, was {old:?}", scenario.name);
    }
    if bless {
        let lines = counts
            .iter()
            .map(|(name, count)| format!("{name}: {count}\n"));
        std::fs::write(&file, lines.collect::<String>()).unwrap();
    }
}

#[test]
fn every_short_path_keeps_the_invariants_and_ends_well() {
    check(&[SHORT]);
}

#[test]
#[ignore = "takes minutes: make model"]
fn long() {
    check(&LONG);
}
