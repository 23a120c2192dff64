//! Nothing is acknowledged without the chassis that hosts the gateway port.

use std::time::{Duration, Instant};

use sluice_core::agent::Inspection;
use sluice_gateway_agent::dataplane::DataPlane as _;

use crate::lab::{Lab, is_blocked, reasons};
use crate::rig::{ask, is_silent, serve};

const RULES: [&str; 2] = [
    "addr e1 1 10.155.30.201 outside",
    "fip f1 1 10.155.30.201 10.244.0.13 both",
];
const MORE: [&str; 4] = [
    "addr e1 1 10.155.30.201 outside",
    "fip f1 1 10.155.30.201 10.244.0.13 both",
    "addr e2 1 10.155.30.202 outside",
    "fip f2 1 10.155.30.202 10.244.0.12 both",
];

#[test]
fn a_chassis_that_does_not_listen_acknowledges_nothing() {
    let lab = Lab::up();
    serve(&lab.host("vm2"), "10.244.0.12:53");
    // On a busy machine another chassis may take over by itself, and would be believed.
    lab.nbctl("lrp-del-gateway-chassis r1-outside chassis2");
    let mut plane = lab.plane("one");
    plane.hold(&RULES);
    assert_eq!(lab.hosting(), "chassis1");
    lab.chassis("stop-controller", 1);
    // Others do: their word is not asked for.
    for _ in 0..3 {
        let error = plane.try_hold(&MORE).expect_err("not acknowledged");
        assert!(
            error.starts_with("ChassisBehind: chassis chassis1"),
            "{error}"
        );
    }
    assert!(is_silent(&lab.host("client"), "10.155.30.202:53"));
    lab.chassis("continue-controller", 1);
    plane.hold(&MORE);
    assert_eq!(
        ask(&lab.host("client"), "10.155.30.202:53").to_string(),
        "10.155.30.9"
    );
}

#[test]
fn a_gateway_port_that_moves_is_acknowledged_by_its_new_host() {
    let lab = Lab::up();
    serve(&lab.host("vm3"), "10.244.0.13:53");
    let mut plane = lab.plane("one");
    plane.hold(&RULES);
    for (to, n) in [("chassis2", 2), ("chassis1", 1), ("chassis2", 2)] {
        let before = number(&lab.nbctl("--bare --columns=nb_cfg list nb_global"));
        lab.nbctl(&format!(
            "lrp-set-gateway-chassis r1-outside {to} {}",
            30 + n + priority()
        ));
        let deadline = Instant::now() + Duration::from_secs(60);
        while lab.hosting() != to {
            assert!(Instant::now() < deadline, "{to} does not host");
            std::thread::sleep(Duration::from_millis(20));
        }
        // Time for the data plane to hear of it: what it says of the old host is not looked at.
        std::thread::sleep(Duration::from_millis(300));
        while is_blocked(&plane.look()) {
            assert!(Instant::now() < deadline, "{to} does not acknowledge");
        }
        let host = lab.hosting();
        // It was asked since it hosts, and has answered that.
        let own = format!("--bare --columns=nb_cfg find chassis_private name={host}");
        let at = number(&lab.sbctl(&own));
        assert!(
            at > before,
            "{host} is at {at}, and was asked after {before}"
        );
        assert_eq!(
            ask(&lab.host("client"), "10.155.30.201:53").to_string(),
            "10.155.30.9"
        );
    }
}

#[test]
fn a_host_that_lost_the_port_and_has_it_again_unseen_is_asked_anew() {
    let lab = Lab::up();
    let mut plane = lab.plane("one");
    plane.hold(&RULES);
    let first = plane.look_until("hosted", |seen| seen.hosting.is_some());
    let home = lab.hosting();
    let other = ["chassis1", "chassis2"].into_iter().find(|c| *c != home);
    // The data plane sees neither.
    for (to, n) in [(other.expect("another"), 2), (&*home, 1)] {
        let priority = 30 + n + priority();
        lab.nbctl(&format!(
            "lrp-set-gateway-chassis r1-outside {to} {priority}"
        ));
        let deadline = Instant::now() + Duration::from_secs(60);
        while lab.hosting() != to {
            assert!(Instant::now() < deadline, "{to} does not host");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    let before = number(&lab.nbctl("--bare --columns=nb_cfg list nb_global"));
    let again = plane.look_until("hosted", |seen| seen.hosting.is_some());
    let epoch = |seen: &Inspection| seen.hosting.as_ref().map(|hosting| hosting.epoch);
    assert!(epoch(&again) > epoch(&first), "{again:?}");
    let own = "--bare --columns=nb_cfg find chassis_private name=chassis1";
    let at = number(&lab.sbctl(own));
    assert!(
        at > before,
        "chassis1 is at {at}, and was asked after {before}"
    );
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

/// Always higher than before.
fn priority() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(10, Ordering::Relaxed)
}

#[test]
fn a_killed_chassis_is_not_believed_and_the_next_one_is_asked() {
    let lab = Lab::up();
    serve(&lab.host("vm3"), "10.244.0.13:53");
    let mut plane = lab.plane("one");
    plane.hold(&RULES);
    // On a busy machine the port may be elsewhere for a moment.
    plane.look_until("chassis 1 hosts", |_| lab.hosting() == "chassis1");
    // The one that takes over does not listen yet when it begins to.
    lab.chassis("kill-chassis", 1);
    plane.look_until("the other chassis hosts", |seen| {
        is_blocked(seen) || lab.hosting() == "chassis2"
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    while lab.hosting() != "chassis2" || is_blocked(&plane.look()) {
        assert!(Instant::now() < deadline, "{:?}", plane.look());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(
        ask(&lab.host("client"), "10.155.30.201:53").to_string(),
        "10.155.30.9"
    );
    // With nobody left nothing is usable, and nothing new is acknowledged.
    lab.chassis("kill-chassis", 2);
    lab.sbctl("chassis-del chassis2");
    let seen = plane.look_until("nobody hosts", is_blocked);
    assert_eq!(reasons(&seen), ["NoChassis"]);
    let error = plane.try_hold(&MORE).expect_err("nobody");
    assert!(error.starts_with("NoChassis"), "{error}");
    // Nobody answers for anything: that is as good as gone.
    plane.plane.clear().expect("cleared");
}

#[test]
fn acknowledgements_that_are_switched_off_are_not_guessed() {
    let lab = Lab::up();
    let mut plane = lab.plane("one");
    plane.hold(&RULES);
    lab.nbctl("set nb_global . options:enable_chassis_nb_cfg_update=false");
    let seen = plane.look_until("told", is_blocked);
    assert_eq!(reasons(&seen), ["AcksSwitchedOff"]);
    assert!(
        plane
            .try_hold(&MORE)
            .expect_err("told")
            .starts_with("AcksSwitchedOff")
    );
    lab.nbctl("remove nb_global . options enable_chassis_nb_cfg_update");
    plane.hold(&MORE);
    assert!(!is_blocked(&plane.look()));
}
