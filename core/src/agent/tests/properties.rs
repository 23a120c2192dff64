//! Random sequences: whatever happens, in whatever order. The simulator checks
//! every action when it is begun.

use proptest::prelude::*;

use super::super::*;
use super::sim::{Sim, config, me};

#[derive(Clone, Debug)]
enum Step {
    Publish(u8, u8),
    Replace(u8),
    ShowHeader,
    ShowLease,
    LeaseTo(bool),
    NewLease,
    LoseLease,
    Answer(usize),
    Fail(usize, bool),
    Pass(u64),
    Notice(bool),
    Drift,
    Refuse(Option<u8>),
    Conflict(Option<u8>),
    Restart,
    Unauthorized,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..6_u8, 1..6_u8).prop_map(|(from, count)| Step::Publish(from, count)),
        1 => (1..6_u8).prop_map(Step::Replace),
        4 => Just(Step::ShowHeader),
        4 => Just(Step::ShowLease),
        2 => any::<bool>().prop_map(Step::LeaseTo),
        1 => Just(Step::NewLease),
        1 => Just(Step::LoseLease),
        24 => (0..6_usize).prop_map(Step::Answer),
        4 => (0..6_usize, any::<bool>()).prop_map(|(at, done)| Step::Fail(at, done)),
        8 => (1..3_000_u64).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Notice),
        1 => Just(Step::Drift),
        1 => proptest::option::of(1..6_u8).prop_map(Step::Refuse),
        1 => proptest::option::of(1..6_u8).prop_map(Step::Conflict),
        1 => Just(Step::Restart),
        1 => Just(Step::Unauthorized),
    ]
}

fn take(sim: &mut Sim, step: Step) {
    match step {
        Step::Publish(from, count) => sim.publish(&config(from..from + count)),
        Step::Replace(count) => {
            sim.header = None;
            sim.publish(&config(1..=count));
        }
        Step::ShowHeader => sim.tell(Event::Header(sim.header.clone())),
        Step::ShowLease => sim.tell(Event::Lease(sim.lease.clone())),
        Step::LeaseTo(other) => {
            // The operator empties it, or another instance takes it; never this one.
            let holder = if other { "pod/other/boot/2" } else { "" };
            sim.lease_to(holder);
        }
        Step::NewLease => sim.make_lease(),
        Step::LoseLease => sim.lease = None,
        Step::Answer(at) if !sim.open.is_empty() => sim.answer(at % sim.open.len()),
        Step::Fail(at, done) if !sim.open.is_empty() => sim.fail(at % sim.open.len(), done),
        Step::Answer(_) | Step::Fail(..) => {}
        Step::Pass(millis) => sim.pass(millis),
        Step::Notice(link) => {
            sim.tell(Event::Notice(if link {
                Notice::Link
            } else {
                Notice::Changed
            }));
        }
        Step::Drift => sim.kernel.inspection.drift = vec!["a route is absent".to_owned()],
        Step::Refuse(which) => sim.kernel.refuse = which.map(|n| format!("fip-{n} ")),
        Step::Conflict(which) => {
            sim.kernel.conflicts = which
                .map(|n| format!("192.0.2.{n}").parse().unwrap())
                .into_iter()
                .collect();
        }
        Step::Restart => sim.restart(),
        Step::Unauthorized => sim.tell(Event::Unauthorized),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The simulator's checks hold throughout; and when faults stop, the agent
    /// comes to hold the newest config, and to answer if nobody else does.
    #[test]
    fn any_sequence_is_safe_and_ends_well(steps in prop::collection::vec(step(), 1..160)) {
        let mut sim = Sim::new();
        sim.begin();
        for step in steps {
            take(&mut sim, step);
        }
        sim.kernel.refuse = None;
        sim.kernel.conflicts.clear();
        sim.publish(&config(1..3));
        if sim.lease.is_none() {
            sim.make_lease();
        }
        sim.tell(Event::Header(sim.header.clone()));
        sim.tell(Event::Lease(sim.lease.clone()));
        sim.settle_for(70_000);
        let newest = sim.header.clone().unwrap();
        prop_assert_eq!(&sim.kernel.stamp.as_ref().unwrap().0, &newest.revision);
        let applied = sim.report.applied.clone().unwrap();
        prop_assert_eq!(applied.generation, newest.revision.generation);
        prop_assert_eq!(applied.digest, newest.spec.digest);
        prop_assert!(sim.report.rejected.is_empty() && sim.report.unusable.is_empty());
        prop_assert!(sim.report.problems.is_empty(), "{:?}", sim.report.problems);
        let mine = sim.lease.as_ref().unwrap().holder == me().to_string();
        let others = !mine && !sim.lease.as_ref().unwrap().holder.is_empty();
        prop_assert!(mine || others, "an empty Lease is taken");
        prop_assert!(sim.kernel.unflushed.is_empty(), "{:?}", sim.kernel.unflushed);
        prop_assert_eq!(sim.kernel.answering, mine);
        prop_assert_eq!(sim.report.active.is_some(), mine);
        if mine {
            let held = ["192.0.2.1", "192.0.2.2", "10.244.0.254"].map(|a| a.parse().unwrap());
            prop_assert!(held.iter().all(|address| sim.kernel.announced.contains(address)));
        }
    }

    /// SIGTERM at any point: a final report is true, an instance that goes
    /// leaves nothing behind.
    #[test]
    fn any_end_is_true(
        steps in prop::collection::vec(step(), 1..80),
        pod in prop_oneof![
            Just(PodSeen::Lives), Just(PodSeen::Terminating), Just(PodSeen::Gone),
            Just(PodSeen::Refused), Just(PodSeen::Unreachable),
        ],
    ) {
        let mut sim = Sim::new();
        sim.begin();
        for step in steps {
            take(&mut sim, step);
        }
        sim.pod = pod.clone();
        sim.tell(Event::Terminate);
        sim.settle_for(30_000);
        prop_assert!(sim.exited);
        match pod {
            PodSeen::Lives | PodSeen::Unreachable => prop_assert!(!sim.report.is_final),
            PodSeen::Terminating | PodSeen::Gone => {
                prop_assert!(sim.report.is_final);
                prop_assert!(sim.kernel.stamp.is_none());
                let mine = sim.lease.as_ref().is_some_and(|l| l.holder == me().to_string());
                prop_assert!(!mine);
            }
            PodSeen::Refused => prop_assert!(sim.kernel.stamp.is_none()),
        }
    }
}
