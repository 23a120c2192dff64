//! The table of packet checks on a real kernel: whole gateways of one family and of both,
//! and damaged ones, on which the checks must fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use packet_checks::check::Check;
use packet_checks::plan::{Family, Setup};
use packet_checks::run::{Patience, run};
use packet_checks::table::checks;
use rig::{Bare, Gateway, sysctl};

/// The checks of a family on a gateway; `PACKET_CHECK=TEXT` in the environment leaves those
/// with the text in their names.
fn wanted(family: Family, setup: Setup) -> Vec<Check> {
    let text = std::env::var("PACKET_CHECK").unwrap_or_default();
    let mut all = checks(family);
    all.retain(|check| check.setup == setup && check.name.contains(&text));
    all
}

/// Runs checks on a gateway and says which failed, and why.
fn run_all(bare: &Bare, gateway: &Gateway, checks: &[Check]) -> Vec<String> {
    let mut hosts = bare.hosts();
    let mut under_test = bare.mending(gateway);
    let mut failed = Vec::new();
    for check in checks {
        if let Err(why) = run(&mut hosts, &mut under_test, check, Patience::WHOLE) {
            failed.push(format!("{:?} {}: {why}", check.family, check.name));
        }
    }
    failed
}

/// Runs all checks of these families on gateways that have these only.
fn whole(families: &[Family]) {
    let mut failed = Vec::new();
    let mut count = 0;
    for setup in Setup::ALL {
        let all: Vec<Check> = families.iter().flat_map(|f| wanted(*f, setup)).collect();
        count += all.len();
        let bare = Bare::new(families, setup);
        let gateway = rig::Gateway::open(&bare.gw, true);
        bare.apply(&gateway);
        failed.extend(run_all(&bare, &gateway, &all));
    }
    println!("{count} checks, {} failed", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn all_packet_checks_hold_with_ipv4_only() {
    whole(&[Family::V4]);
}

#[test]
fn all_packet_checks_hold_with_ipv6_only() {
    whole(&[Family::V6]);
}

#[test]
fn all_packet_checks_hold_with_both_families() {
    whole(&Family::BOTH);
}

/// Pods are born with whatever their node has; the gateway's interfaces are set right.
#[test]
fn packets_pass_whatever_the_filter_of_reverse_paths_and_the_main_table_were() {
    let translated = ["FIP:", "DNAT:", "SNAT:", "ping:", "hairpin:"];
    let mut all = wanted(Family::V4, Setup::Usual);
    all.retain(|check| translated.iter().any(|text| check.name.starts_with(text)));
    let mut failed = Vec::new();
    for filter in ["0", "1", "2"] {
        for default in [true, false] {
            let bare = Bare::new(&[Family::V4], Setup::Usual);
            for segment in Setup::Usual.segments() {
                let path = format!("ipv4/conf/{}/rp_filter", segment.interface());
                sysctl(&bare.gw, &path, filter);
            }
            if !default {
                bare.script("ip route del default").unwrap();
            }
            let gateway = rig::Gateway::open(&bare.gw, true);
            bare.apply(&gateway);
            let with = format!("rp_filter {filter}, default route {default}: ");
            let found = run_all(&bare, &gateway, &all);
            failed.extend(found.into_iter().map(|why| format!("{with}{why}")));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// How often a damage may show nothing, and how much longer each time it is left alone.
const TRIES: u32 = 3;
const REST: std::time::Duration = std::time::Duration::from_secs(2);

/// Does each damage of a family's checks in turn; each check must fail where it says so.
fn damaged(family: Family) {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for setup in Setup::ALL {
        let bare = Bare::new(&Family::BOTH, setup);
        let gateway = rig::Gateway::open(&bare.gw, false);
        bare.apply(&gateway);
        let mut hosts = bare.hosts();
        for check in wanted(family, setup) {
            for damage in &check.notices {
                if let Err(why) = bare.script(&damage.script(family)) {
                    wrong.push(format!("{damage:?} cannot be done: {why}"));
                }
                // What shows may be an error that the kernel makes, and a peer gets few of
                // these at a time.
                let mut noticed = (0..TRIES).map(|n| {
                    std::thread::sleep(REST * n);
                    bare.forget_flows();
                    run(&mut hosts, &mut bare.idle(), &check, Patience::DAMAGED).is_err()
                });
                if noticed.any(|noticed| noticed) {
                    seen += 1;
                } else {
                    wrong.push(format!("{damage:?} is not noticed by: {}", check.name));
                }
                bare.restore(&gateway, damage, family);
            }
        }
    }
    println!("{seen} failures seen");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_ipv4_packet_check_fails_on_the_damage_that_it_names() {
    damaged(Family::V4);
}

#[test]
fn each_ipv6_packet_check_fails_on_the_damage_that_it_names() {
    damaged(Family::V6);
}
