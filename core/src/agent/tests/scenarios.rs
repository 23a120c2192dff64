//! What an agent must do, by behaviour.

use super::super::*;
use super::sim::{Sim, config, me};

fn generation(sim: &Sim) -> Option<i64> {
    sim.report
        .applied
        .as_ref()
        .map(|applied| applied.generation)
}

fn problem(sim: &Sim) -> Option<&str> {
    sim.report
        .problems
        .first()
        .map(|problem| problem.reason.as_str())
}

/// Answers everything but reports until one is due that satisfies `wanted`.
fn ops_until_report(sim: &mut Sim, wanted: impl Fn(&GatewayInstanceStatus) -> bool) -> Vec<String> {
    let from = sim.ops.len();
    for _ in 0..200 {
        if let Some(at) = sim
            .open
            .iter()
            .position(|a| matches!(a, Action::Report(s) if wanted(s)))
        {
            let ops = sim.ops[from..].to_vec();
            sim.answer(at);
            return ops;
        }
        match sim.open.len() {
            0 => {
                let due = sim.agent.next_deadline().unwrap().0 - sim.now;
                sim.pass(due);
            }
            open => sim.answer(open - 1),
        }
    }
    panic!("no such report: {:?}", sim.report);
}

#[test]
fn a_fresh_instance_warms_up_probes_takes_the_lease_then_answers() {
    let sim = Sim::serving();
    let ops: Vec<&str> = sim
        .ops
        .iter()
        .map(String::as_str)
        .filter(|op| *op != "inspect")
        .collect();
    assert_eq!(
        ops,
        [
            "apply 1 false",
            "probe 4",
            "apply 1 true",
            "announce 4",
            "flush"
        ]
    );
    let lease = sim.lease.as_ref().unwrap();
    assert_eq!(lease.holder, me().to_string());
    assert_eq!(sim.report.active.as_ref().unwrap().term, lease.transitions);
    assert_eq!(generation(&sim), Some(1));
}

#[test]
fn announcements_go_out_at_0_1_2_and_5_seconds() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.begin();
    let mut at = Vec::new();
    for _ in 0..6_000 {
        while !sim.open.is_empty() {
            let seen = sim.ops.len();
            sim.answer(0);
            if sim.ops[seen..].iter().any(|op| op == "announce 4") {
                at.push(sim.now);
            }
        }
        sim.pass(1);
    }
    let first = at[0];
    assert_eq!(
        at.iter().map(|t| t - first).collect::<Vec<_>>(),
        [0, 1_000, 2_000, 5_000]
    );
}

#[test]
fn a_link_that_comes_up_is_announced_on() {
    let mut sim = Sim::serving();
    sim.settle_for(6_000);
    let before = sim.ops.iter().filter(|op| *op == "announce 4").count();
    sim.tell(Event::Notice(Notice::Link));
    sim.settle_for(6_000);
    assert_eq!(
        sim.ops.iter().filter(|op| *op == "announce 4").count(),
        before + 4
    );
}

#[test]
fn report_names_active_only_after_the_first_announcement() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.begin();
    let ops = ops_until_report(&mut sim, |status| status.active.is_some());
    let announced = ops.iter().position(|op| op == "announce 4");
    let applied = ops.iter().position(|op| op == "apply 1 true");
    assert!(applied.is_some() && announced > applied, "{ops:?}");
    assert!(sim.report.applied.is_some(), "in the same write");
}

#[test]
fn a_failed_announcement_is_no_announcement() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.begin();
    for _ in 0..100 {
        let announcing = |a: &Action| matches!(a, Action::Kernel(KernelOp::Announce(_)));
        if let Some(at) = sim.open.iter().position(announcing) {
            sim.fail(at, false);
            break;
        }
        match sim.open.len() {
            0 => {
                let due = sim.agent.next_deadline().unwrap().0 - sim.now;
                sim.pass(due);
            }
            _ => sim.answer(0),
        }
    }
    assert!(sim.kernel.answering && !sim.agent.is_active());
    sim.settle_for(1_500);
    assert!(sim.agent.is_active());
}

#[test]
fn a_removal_is_acknowledged_after_the_second_flush() {
    let mut sim = Sim::serving();
    sim.publish(&config(1..3));
    let told = sim.now;
    sim.tell(Event::Header(sim.header.clone()));
    let ops = ops_until_report(&mut sim, |s| {
        s.applied.as_ref().is_some_and(|a| a.generation == 2)
    });
    assert!(ops.contains(&"flush".to_owned()), "{ops:?}");
    assert!(sim.now >= told + 50);
    assert!(sim.kernel.unflushed.is_empty());
}

/// The place of the kernel's operation under way, once it is `wanted`.
fn kernel_op(sim: &mut Sim, wanted: impl Fn(&KernelOp) -> bool) -> usize {
    for _ in 0..20 {
        let mut open = sim.open.iter();
        if let Some(at) = open.position(|a| matches!(a, Action::Kernel(op) if wanted(op))) {
            return at;
        }
        sim.answer(0);
    }
    panic!("never begun: {:?}", sim.open);
}

/// Ends the process when the operation is carried out and its answer not heard.
fn kill_after(sim: &mut Sim, at: usize) {
    sim.fail(at, true);
    sim.restart();
}

#[test]
fn a_removal_by_a_killed_process_is_acknowledged_after_a_flush() {
    let mut sim = Sim::serving();
    sim.publish(&config(1..3));
    sim.tell(Event::Header(sim.header.clone()));
    let at = kernel_op(&mut sim, |op| matches!(op, KernelOp::Apply { .. }));
    kill_after(&mut sim, at);
    assert_eq!(sim.kernel.unflushed.len(), 2, "{:?}", sim.kernel.unflushed);
    let ops = ops_until_report(&mut sim, |s| {
        s.applied.as_ref().is_some_and(|a| a.generation == 2)
    });
    assert!(ops.contains(&"flush".to_owned()), "{ops:?}");
    assert!(sim.kernel.unflushed.is_empty());
}

#[test]
fn what_a_clear_removed_is_flushed_also_by_the_next_process() {
    for killed in [false, true] {
        let mut sim = Sim::serving();
        sim.lease_to("pod/other/boot/2");
        sim.tell(Event::Lease(sim.lease.clone()));
        sim.publish(&config(1..3));
        let at = kernel_op(&mut sim, |op| matches!(op, KernelOp::Apply { .. }));
        sim.fail(at, false);
        sim.tell(Event::Header(sim.header.clone()));
        let fetch = |a: &Action| matches!(a, Action::FetchSlices(_));
        let at = sim.open.iter().position(fetch).unwrap();
        sim.answer(at);
        let at = kernel_op(&mut sim, |op| *op == KernelOp::Clear);
        if killed {
            kill_after(&mut sim, at);
        } else {
            sim.answer(at);
        }
        assert_eq!(sim.kernel.unflushed.len(), 6, "{:?}", sim.kernel.unflushed);
        let ops = ops_until_report(&mut sim, |s| {
            s.applied.as_ref().is_some_and(|a| a.generation == 2)
        });
        assert!(ops.contains(&"flush".to_owned()), "{killed}: {ops:?}");
    }
}

#[test]
fn an_addition_is_acknowledged_without_waiting() {
    let mut sim = Sim::serving();
    sim.publish(&config(1..5));
    let told = sim.now;
    sim.tell(Event::Header(sim.header.clone()));
    let ops = ops_until_report(&mut sim, |s| {
        s.applied.as_ref().is_some_and(|a| a.generation == 2)
    });
    assert_eq!(sim.now, told);
    assert_eq!(ops, ["apply 2 true", "announce 1", "inspect"]);
}

#[test]
fn the_next_revision_waits_for_a_removal_to_be_acknowledged() {
    let mut sim = Sim::serving();
    for eips in [1..3, 1..2] {
        sim.publish(&config(eips));
        sim.tell(Event::Header(sim.header.clone()));
        while let Some(at) = sim
            .open
            .iter()
            .position(|a| !matches!(a, Action::Report(_)))
        {
            sim.answer(at);
        }
    }
    sim.settle();
    let generations: Vec<_> = sim
        .reports
        .iter()
        .filter_map(|s| Some(s.applied.as_ref()?.generation))
        .collect();
    assert!(
        generations.contains(&2) && generations.ends_with(&[3]),
        "{generations:?}"
    );
}

#[test]
fn an_older_generation_is_never_applied() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    let old = sim.header.clone();
    sim.publish(&config(1..3));
    sim.begin();
    sim.settle();
    let ops = sim.ops.len();
    sim.tell(Event::Header(old.clone()));
    sim.settle();
    assert_eq!(generation(&sim), Some(2));
    sim.restart();
    sim.tell(Event::Header(old));
    sim.settle();
    assert_eq!(generation(&sim), Some(2));
    assert!(!sim.ops[ops..].iter().any(|op| op.starts_with("apply 1")));
}

#[test]
fn the_same_generation_with_another_digest_keeps_the_last_good() {
    let mut sim = Sim::serving();
    let mut other = sim.header.clone().unwrap();
    other.spec = config(1..9).header;
    sim.tell(Event::Header(Some(other)));
    sim.settle();
    assert_eq!(problem(&sim), Some("ConfigDiverged"));
    assert_eq!(generation(&sim), Some(1));
    assert!(sim.agent.is_active());
}

#[test]
fn an_unknown_format_keeps_the_last_good() {
    let mut sim = Sim::serving();
    let mut config = config(1..9);
    config.header.format = 2;
    sim.publish(&config);
    sim.tell(Event::Header(sim.header.clone()));
    sim.settle();
    assert_eq!(problem(&sim), Some("UnknownFormat"));
    assert_eq!(generation(&sim), Some(1));
    assert!(!sim.report.problems[0].blocking && sim.agent.is_active());
}

#[test]
fn an_absent_header_keeps_the_last_good() {
    let mut sim = Sim::serving();
    let before = sim.report.clone();
    sim.tell(Event::Header(None));
    sim.settle();
    assert_eq!(sim.report, before);
}

#[test]
fn a_new_header_uid_is_confirmed_by_a_quorum_read() {
    let mut sim = Sim::serving();
    let old = sim.header.take();
    sim.publish(&config(1..3));
    // An old event shows a header that is not there any more.
    let mut stray = old.unwrap();
    stray.revision.uid = crate::identity::Uid::new("stray");
    sim.tell(Event::Header(Some(stray)));
    assert_eq!(sim.open, [Action::ReadHeader]);
    sim.settle();
    assert_eq!(sim.report.applied.as_ref().unwrap().uid, "header-3");
}

#[test]
fn a_slice_with_other_content_than_its_name_tells_is_not_applied() {
    let mut sim = Sim::serving();
    let next = config(1..9);
    sim.publish(&next);
    let name = next.slices[0].0.clone();
    let good = sim
        .slices
        .insert(name.clone(), config(1..2).slices[0].1.clone());
    sim.tell(Event::Header(sim.header.clone()));
    sim.settle();
    assert_eq!(
        (problem(&sim), generation(&sim)),
        (Some("ConfigRefused"), Some(1))
    );
    sim.slices.insert(name, good.unwrap());
    sim.settle_for(10_000);
    assert_eq!((problem(&sim), generation(&sim)), (None, Some(2)));
}

#[test]
fn a_slice_that_is_gone_means_a_newer_header() {
    let mut sim = Sim::serving();
    sim.publish(&config(1..9));
    let stale = sim.header.clone();
    sim.slices.clear();
    sim.publish(&config(1..5));
    sim.tell(Event::Header(stale));
    sim.settle();
    assert_eq!((problem(&sim), generation(&sim)), (None, Some(3)));
}

#[test]
fn another_holder_stops_the_answers_before_anything_else() {
    let mut sim = Sim::serving();
    sim.publish(&config(1..9));
    sim.lease_to("pod/other/boot/2");
    sim.tell(Event::Lease(sim.lease.clone()));
    let first = sim.open.iter().find(|a| matches!(a, Action::Kernel(_)));
    assert!(
        matches!(
            first,
            Some(Action::Kernel(KernelOp::Apply { holding: false, .. }))
        ),
        "{first:?}"
    );
    assert!(!sim.agent.is_active());
    sim.settle();
    assert!(
        sim.report.active.is_none() && generation(&sim).is_some(),
        "the rules stay warm"
    );
    assert!(!sim.kernel.answering);
}

#[test]
fn what_was_acknowledged_in_a_lost_tenure_does_not_count_in_the_next() {
    let mut sim = Sim::serving();
    let announced = |sim: &Sim| sim.ops.iter().filter(|op| *op == "announce 4").count();
    // No look at the kernel succeeds from here on.
    let blind = |sim: &mut Sim, millis: u64| {
        let end = sim.now + millis;
        while sim.now < end {
            match sim.open.first() {
                Some(Action::Kernel(KernelOp::Inspect)) => sim.fail(0, false),
                Some(_) => sim.answer(0),
                None => {
                    let due = sim.agent.next_deadline().map_or(end, |due| due.0.min(end));
                    sim.pass(due.saturating_sub(sim.now).max(1));
                }
            }
        }
    };
    sim.lease_to("pod/other/boot/1");
    sim.tell(Event::Lease(sim.lease.clone()));
    blind(&mut sim, 3_000);
    assert!(!sim.kernel.answering && !sim.agent.is_active());
    let before = announced(&sim);
    sim.lease_to("");
    sim.tell(Event::Lease(sim.lease.clone()));
    blind(&mut sim, 10_000);
    assert!(sim.kernel.answering && announced(&sim) > before);
    assert_eq!(sim.report.active, None);
    sim.settle_for(3_000);
    assert!(sim.agent.is_active() && sim.report.active.is_some());
}

#[test]
fn a_withdrawal_that_fails_is_followed_by_a_clear() {
    let mut sim = Sim::serving();
    sim.lease_to("pod/other/boot/2");
    sim.tell(Event::Lease(sim.lease.clone()));
    let at = sim
        .open
        .iter()
        .position(|a| matches!(a, Action::Kernel(_)))
        .unwrap();
    sim.fail(at, false);
    assert!(sim.open.contains(&Action::Kernel(KernelOp::Clear)));
    sim.settle();
    assert!(!sim.kernel.answering);
    assert_eq!(generation(&sim), Some(1), "warm again");
}

#[test]
fn a_process_that_finds_its_addresses_anothers_withdraws_them_without_a_config() {
    let mut sim = Sim::serving();
    sim.header = None;
    sim.lease_to("pod/other/boot/2");
    sim.restart();
    assert!(
        sim.open.contains(&Action::Kernel(KernelOp::Clear)),
        "{:?}",
        sim.open
    );
    sim.settle();
    assert!(!sim.kernel.answering && sim.report.applied.is_none());
}

#[test]
fn an_older_lease_does_not_unseat_the_holder() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.lease_to("pod/other/boot/2");
    let old = sim.lease.clone();
    sim.lease_to("");
    sim.begin();
    sim.settle();
    sim.tell(Event::Lease(old));
    assert!(sim.agent.is_active());
}

#[test]
fn another_holder_is_never_taken_over_from() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.lease_to("pod/other/boot/2");
    sim.begin();
    sim.settle_for(60_000);
    assert_eq!(sim.lease.as_ref().unwrap().holder, "pod/other/boot/2");
    assert!(
        !sim.ops
            .iter()
            .any(|op| op.starts_with("probe") || op.ends_with("true"))
    );
}

#[test]
fn a_lease_that_was_emptied_is_taken_again_without_a_gap() {
    let mut sim = Sim::serving();
    let ops = sim.ops.len();
    let term = sim.report.active.as_ref().unwrap().term;
    sim.lease_to("");
    sim.tell(Event::Lease(sim.lease.clone()));
    assert!(!sim.agent.is_active());
    sim.settle();
    assert_eq!(sim.report.active.as_ref().unwrap().term, term + 1);
    assert!(!sim.ops[ops..].iter().any(|op| op.ends_with("false")));
    assert!(
        sim.ops[ops..].contains(&"announce 4".to_owned()),
        "announced in the new term"
    );
}

#[test]
fn a_lease_is_renewed_at_a_third_of_its_duration() {
    let mut sim = Sim::serving();
    let version = |sim: &Sim| sim.lease.as_ref().unwrap().resource_version.clone();
    let (before, from) = (version(&sim), sim.now);
    sim.settle_for(4_000);
    assert_eq!(version(&sim), before);
    while version(&sim) == before {
        sim.settle_for(100);
    }
    assert!(
        (4_900..=5_200).contains(&(sim.now - from)),
        "{}",
        sim.now - from
    );
}

#[test]
fn a_predecessor_that_still_answers_is_waited_for() {
    let mut sim = Sim::new();
    sim.publish(&config(1..3));
    sim.kernel.conflicts = ["192.0.2.1", "192.0.2.2", "10.244.0.254"]
        .map(|a| a.parse().unwrap())
        .into();
    sim.begin();
    sim.settle_for(3_000);
    assert!(sim.lease.as_ref().unwrap().holder.is_empty());
    assert_eq!(sim.report.unusable.len(), 3);
    sim.kernel.conflicts.clear();
    sim.settle_for(6_000);
    assert!(sim.agent.is_active() && sim.report.unusable.is_empty());
}

#[test]
fn a_foreign_host_on_one_address_costs_that_address_only() {
    let mut sim = Sim::new();
    sim.publish(&config(1..4));
    sim.kernel.conflicts = vec!["192.0.2.2".parse().unwrap()];
    sim.begin();
    let ops = ops_until_report(&mut sim, |s| s.active.is_some());
    assert!(ops.contains(&"announce 3".to_owned()), "{ops:?}");
    assert_eq!(
        sim.report.rejected.len(),
        2,
        "told in the write that says active"
    );
    assert_eq!(sim.report.unusable[0].reason, "AddressConflict");
    sim.kernel.conflicts.clear();
    sim.settle_for(11_000);
    assert!(sim.report.rejected.is_empty() && sim.report.unusable.is_empty());
    assert_eq!(sim.kernel.announced.len(), 4);
}

#[test]
fn a_refused_entry_is_reported_and_tried_again() {
    let mut sim = Sim::new();
    sim.kernel.refuse = Some("fip-2".to_owned());
    sim.publish(&config(1..4));
    sim.begin();
    sim.settle();
    assert_eq!(sim.report.rejected.len(), 1);
    assert!(sim.agent.is_active(), "one bad rule holds no other");
    sim.kernel.refuse = None;
    sim.settle_for(5_000);
    assert!(sim.report.rejected.is_empty());
}

#[test]
fn drift_is_reported_before_it_is_said_to_be_repaired() {
    let mut sim = Sim::serving();
    sim.kernel.inspection.drift = vec!["a route is absent".to_owned()];
    sim.tell(Event::Notice(Notice::Changed));
    sim.settle_for(1_000);
    let told: Vec<bool> = sim
        .reports
        .iter()
        .map(|s| s.problems.iter().any(|p| p.blocking))
        .collect();
    assert!(told.ends_with(&[true, false]), "{told:?}");
    assert_eq!(sim.report.drift_repairs, 1);
}

#[test]
fn a_container_restart_writes_nothing_and_breaks_nothing() {
    let mut sim = Sim::serving();
    let (reports, ops) = (sim.reports.len(), sim.ops.len());
    let transitions = sim.lease.as_ref().unwrap().transitions;
    sim.restart();
    sim.settle_for(3_000);
    assert_eq!(sim.reports.len(), reports);
    assert!(
        !sim.ops[ops..]
            .iter()
            .any(|op| op.ends_with("false") || op == "clear")
    );
    assert_eq!(sim.lease.as_ref().unwrap().transitions, transitions);
    assert!(sim.agent.is_active());
}

#[test]
fn the_report_of_a_lost_kernel_is_taken_back() {
    let mut sim = Sim::serving();
    // The report survived, the rules did not.
    sim.kernel = super::sim::Kernel::default();
    sim.restart();
    let first = sim.open.iter().find_map(|a| match a {
        Action::Report(status) => Some(status.clone()),
        _ => None,
    });
    let first = first.unwrap();
    assert!(first.applied.is_none() && first.active.is_none());
}

#[test]
fn the_report_of_another_boot_is_replaced_at_once() {
    let mut sim = Sim::serving();
    sim.report.instance = "pod/pod/earlier-boot/7".to_owned();
    sim.lease_to("pod/pod/earlier-boot/7");
    sim.kernel = super::sim::Kernel::default();
    sim.restart();
    sim.settle();
    assert_eq!(sim.report.instance, me().to_string());
    assert!(sim.report.active.is_none());
    assert_eq!(sim.lease.as_ref().unwrap().holder, "pod/pod/earlier-boot/7");
}

#[test]
fn nothing_is_written_when_nothing_changes() {
    let mut sim = Sim::serving();
    sim.settle_for(3_000);
    let reports = sim.reports.len();
    sim.settle_for(60_000);
    assert_eq!(sim.reports.len(), reports);
}

#[test]
fn sigterm_of_a_living_pod_leaves_the_kernel_alone() {
    let mut sim = Sim::serving();
    let (ops, report) = (sim.ops.len(), sim.report.clone());
    sim.tell(Event::Terminate);
    sim.settle();
    assert!(sim.exited && sim.kernel.answering);
    assert_eq!((sim.ops.len(), sim.report), (ops, report));
}

#[test]
fn sigterm_with_the_api_away_leaves_the_kernel_alone() {
    let mut sim = Sim::serving();
    sim.pod = PodSeen::Unreachable;
    sim.tell(Event::Terminate);
    sim.settle();
    assert!(sim.exited && sim.kernel.answering && !sim.report.is_final);
}

#[test]
fn sigterm_of_a_deleted_pod_clears_then_releases_then_reports() {
    let mut sim = Sim::serving();
    sim.pod = PodSeen::Terminating;
    sim.tell(Event::Terminate);
    sim.settle();
    assert!(sim.exited && sim.report.is_final);
    assert_eq!(sim.ops.last().unwrap(), "clear");
    assert!(sim.lease.as_ref().unwrap().holder.is_empty());
}

#[test]
fn a_clear_that_fails_is_never_reported_as_done() {
    let mut sim = Sim::serving();
    sim.pod = PodSeen::Terminating;
    sim.tell(Event::Terminate);
    while !sim.exited {
        match sim.open.iter().position(|a| matches!(a, Action::Kernel(_))) {
            Some(at) => sim.fail(at, false),
            None if sim.open.is_empty() => sim.pass(50),
            None => sim.answer(0),
        }
    }
    assert!(!sim.report.is_final);
    assert!(
        !sim.lease.as_ref().unwrap().holder.is_empty(),
        "not released while it may answer"
    );
}

#[test]
fn a_refused_token_is_believed_after_it_was_read_anew() {
    let mut sim = Sim::serving();
    sim.tell(Event::Unauthorized);
    sim.settle();
    assert!(sim.agent.is_active(), "the token was only old");
    sim.pod = PodSeen::Refused;
    sim.tell(Event::Unauthorized);
    sim.settle();
    assert!(sim.exited && sim.kernel.stamp.is_none());
}

#[test]
fn an_instance_that_said_final_never_serves_again() {
    let mut sim = Sim::serving();
    sim.pod = PodSeen::Terminating;
    sim.tell(Event::Terminate);
    sim.settle();
    sim.lease_to("");
    sim.restart();
    sim.settle_for(10_000);
    assert!(sim.exited && sim.kernel.stamp.is_none());
    assert!(sim.report.is_final && sim.lease.as_ref().unwrap().holder.is_empty());
}

#[test]
fn sigterm_is_right_at_every_step_of_the_start() {
    for pod in [
        PodSeen::Terminating,
        PodSeen::Lives,
        PodSeen::Refused,
        PodSeen::Gone,
    ] {
        for steps in 0..40 {
            let mut sim = Sim::new();
            sim.publish(&config(1..4));
            sim.pod = pod.clone();
            sim.begin();
            for _ in 0..steps {
                match sim.open.is_empty() {
                    true => sim.pass(10),
                    false => sim.answer(0),
                }
            }
            sim.tell(Event::Terminate);
            sim.settle_for(30_000);
            assert!(sim.exited, "{pod:?} after {steps} steps");
            let ended = matches!(pod, PodSeen::Terminating | PodSeen::Gone);
            assert_eq!(sim.report.is_final, ended, "{pod:?} after {steps} steps");
            if pod != PodSeen::Lives {
                assert!(sim.kernel.stamp.is_none() && !sim.kernel.answering);
            }
            if ended {
                assert!(sim.lease.as_ref().unwrap().holder.is_empty());
            }
        }
    }
}

#[test]
fn a_report_that_is_read_late_is_not_taken_back() {
    for steps in 0..20 {
        let mut sim = Sim::serving();
        let (report, reports) = (sim.report.clone(), sim.reports.len());
        sim.restart_unread();
        for _ in 0..steps {
            match sim.open.is_empty() {
                true => sim.pass(10),
                false => sim.answer(0),
            }
        }
        sim.tell(Event::Report(ReportAnswer::Stands(Box::new(report))));
        sim.settle_for(3_000);
        let after = &sim.reports[reports..];
        assert!(after.is_empty(), "after {steps} steps: {after:#?}");
    }
}

#[test]
fn a_report_that_was_deleted_or_overwritten_is_restored() {
    let overwritten = GatewayInstanceStatus {
        instance: "pod/other/boot/2".to_owned(),
        is_final: true,
        ..GatewayInstanceStatus::default()
    };
    for strange in [GatewayInstanceStatus::default(), overwritten] {
        let mut sim = Sim::serving();
        let good = std::mem::replace(&mut sim.report, strange);
        sim.settle_for(20_000);
        assert_eq!(sim.report, good);
        assert!(sim.agent.is_active() && !sim.exited);
    }
}

/// How many reports are written to within so long, each met by `answer`.
fn writes_within(sim: &mut Sim, millis: u64, answer: &ReportAnswer) -> usize {
    let end = sim.now + millis;
    let mut writes = 0;
    while sim.now < end && writes < 1_000 {
        match sim.open.first() {
            Some(Action::Report(_)) => {
                writes += 1;
                sim.open.remove(0);
                sim.tell(Event::Report(answer.clone()));
            }
            Some(_) => sim.answer(0),
            None => sim.pass(10),
        }
    }
    writes
}

#[test]
fn whoever_always_writes_first_does_not_drive_the_agent_into_a_loop() {
    let mut sim = Sim::serving();
    sim.report = GatewayInstanceStatus::default();
    let stands = ReportAnswer::Stands(Box::default());
    let writes = writes_within(&mut sim, 60_000, &stands);
    assert!((5..30).contains(&writes), "{writes} writes in a minute");
}
