//! Three servers of the northbound database, whose leader is killed while rows are written.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::lab::Lab;

/// How many rows, each in a transaction of its own.
const ROWS: u32 = 1_000;

fn pair(n: u32) -> (String, String) {
    let [_, _, high, low] = n.to_be_bytes();
    (
        format!("10.155.{}.{low}", 40 + high),
        format!("10.244.{}.{low}", 40 + high),
    )
}

fn line(n: u32) -> String {
    let (outside, inside) = pair(n);
    format!("fip f{n} 1 {outside} {inside} both")
}

/// At which rows the leader is killed. `ovn-northd` needs some time to find the next one.
const KILLS: [u32; 4] = [150, 350, 550, 750];

/// Kills the leader whenever so many rows were asked for, and starts it again.
fn kill_leaders(lab: &Lab, asked: &AtomicU32) {
    for at in KILLS {
        while asked.load(Ordering::Relaxed) < at {
            std::thread::sleep(Duration::from_millis(3));
        }
        let leader = lab.network.run("leader", &[]).expect("statuses");
        assert!(!leader.is_empty(), "nobody leads at row {at}");
        lab.network.run("kill-server", &[&leader]).expect("killed");
        std::thread::sleep(Duration::from_secs(4));
        lab.network
            .run("start-server", &[&leader])
            .expect("started");
    }
}

/// Lets the killer come to its end, also where the test fails.
struct Over<'a>(&'a AtomicU32);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(u32::MAX, Ordering::Relaxed);
    }
}

#[test]
fn a_thousand_rows_are_there_once_after_their_leaders_were_killed() {
    let lab = Lab::with_servers(3);
    lab.nbctl("lr-nat-add r1 dnat_and_snat 10.155.30.210 10.244.0.13");
    lab.nbctl("lb-add theirs 10.155.30.211:80 10.244.0.13:80");
    lab.nbctl("lr-lb-add r1 theirs");
    let others = || {
        let nat = lab.nbctl("--columns=_uuid,type,external_ip,logical_ip,external_ids find nat external_ip=10.155.30.210");
        nat + &lab.nbctl("--columns=_uuid,vips,external_ids find load_balancer name=theirs")
    };
    let before = others();
    let mut plane = lab.plane("one");
    let (asked, mut failed) = (AtomicU32::new(0), 0);
    let mut errors = BTreeSet::new();
    let began = Instant::now();
    std::thread::scope(|threads| {
        let killer = threads.spawn(|| kill_leaders(&lab, &asked));
        let _over = Over(&asked);
        let mut lines = Vec::new();
        for n in 1..=ROWS {
            asked.store(n, Ordering::Relaxed);
            lines.push(line(n));
            let all: Vec<&str> = lines.iter().map(String::as_str).collect();
            let deadline = Instant::now() + Duration::from_secs(90);
            while let Err(error) = plane.try_next(&all) {
                assert!(Instant::now() < deadline, "row {n}: {error}");
                failed += 1;
                errors.insert(error.chars().take(160).collect::<String>());
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        killer.join().expect("all killed");
    });
    let took = began.elapsed();
    println!("{ROWS} rows in {took:?}; {failed} tries failed, by {errors:#?}");
    assert!(failed > 0, "nothing was lost that could have been");
    let rows = lab.rows();
    let want: BTreeSet<String> = (1..=ROWS)
        .map(pair)
        .map(|(outside, inside)| format!("dnat_and_snat,{outside},{inside}"))
        .collect();
    assert_eq!(rows.len(), want.len());
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), want);
    let named = lab.nbctl("--bare --columns=nat list logical_router r1");
    assert_eq!(named.split_whitespace().count(), want.len() + 1);
    assert_eq!(others(), before);
    let seen = plane.look();
    assert_eq!(
        (seen.drift.len(), seen.hosting.is_some()),
        (0, true),
        "{seen:?}"
    );
}
