//! Each rule is shown a good history and a bad one that differs in one thing.

use serde_json::{Value, json};

use super::{Demands, check};
use crate::evidence::history::{Harm, Leak, Loss, Mark, Record, What};

/// Writes histories by hand. Every record comes 10 ms and one resourceVersion
/// after the one before.
#[derive(Default)]
struct Script {
    records: Vec<Record>,
    at_us: u64,
    rv: u64,
}

const A: &str = "pod/a/boot/1";
const B: &str = "pod/b/boot/2";

impl Script {
    fn wait(mut self, ms: u64) -> Self {
        self.at_us += ms * 1000;
        self
    }

    fn add(mut self, what: What) -> Self {
        self.at_us += 10_000;
        self.records.push(Record {
            at_us: self.at_us,
            what,
        });
        self
    }

    fn object(mut self, kind: &str, name: &str, uid: &str, rest: Value, gone: bool) -> Self {
        self.rv += 1;
        let mut object = json!({"metadata": {
            "namespace": "n", "name": name, "uid": uid, "resourceVersion": self.rv.to_string(), "generation": 1,
        }});
        merge(&mut object, rest);
        self.add(What::Object {
            kind: kind.into(),
            gone,
            object,
        })
    }

    fn lease(self, holder: &str, term: i64) -> Self {
        let renewed = self.rv.to_string();
        self.object("Lease", "sluice-g", "L", json!({
            "metadata": {"labels": {"sluice.dev/gateway-uid": "G"}},
            "spec": {"holderIdentity": holder, "leaseTransitions": term, "leaseDurationSeconds": 30, "renewTime": renewed},
        }), false)
    }

    fn slice(self, name: &str, entries: &[&str]) -> Self {
        self.object(
            "RuleSlice",
            name,
            name,
            json!({"spec": {"entries": entries}}),
            false,
        )
    }

    fn report(self, instance: &str, term: Option<i64>, slices: &[&str], rest: Value) -> Self {
        let active = term.map(|term| json!({"leaseUID": "L", "term": term}));
        let mut status = json!({
            "instance": instance, "active": active,
            "applied": {"uid": "C", "generation": 1, "digest": "d", "slices": slices},
        });
        merge(&mut status, rest);
        self.object(
            "GatewayInstance",
            instance.split('/').nth(1).unwrap(),
            instance,
            json!({"status": status}),
            false,
        )
    }

    fn eip(self, status: &str, reason: &str, pair: Option<(&str, i64)>) -> Self {
        self.eip_named("web", "E", "192.0.2.1", status, reason, pair)
    }

    fn eip_named(
        self,
        name: &str,
        uid: &str,
        address: &str,
        status: &str,
        reason: &str,
        pair: Option<(&str, i64)>,
    ) -> Self {
        let holder = pair
            .map(|(instance, term)| json!({"instance": instance, "term": term, "leaseUID": "L"}));
        self.object("EIP", name, uid, json!({
            "spec": {"gateway": {"name": "g"}},
            "status": {"observedGeneration": 1, "ipv4": address, "holder": holder, "conditions": [ready(status, reason)]},
        }), false)
    }

    /// The EIP under another gateway.
    fn elsewhere(self, status: &str, pair: Option<(&str, i64)>) -> Self {
        let holder = pair
            .map(|(instance, term)| json!({"instance": instance, "term": term, "leaseUID": "M"}));
        self.object("EIP", "web", "E", json!({
            "spec": {"gateway": {"name": "other"}},
            "status": {"observedGeneration": 1, "ipv4": "192.0.2.1", "holder": holder, "conditions": [ready(status, "Ready")]},
        }), false)
    }

    fn fip(self, status: &str) -> Self {
        self.object(
            "FIP",
            "fip",
            "F",
            json!({
                "spec": {"eip": {"name": "web"}, "target": {"ips": ["10.244.0.5"]}},
                "status": {"observedGeneration": 1, "conditions": [ready(status, "Ready")]},
            }),
            false,
        )
    }

    fn mark(self, mark: Mark) -> Self {
        self.add(What::Mark(mark))
    }

    fn fault(self, harm: Harm) -> Self {
        self.mark(Mark::Fault {
            harm,
            text: String::new(),
        })
    }

    /// Requests of the last `ms` were lost.
    fn loss(self, object: &str, ms: u64) -> Self {
        let to_us = self.at_us;
        let from_us = to_us.saturating_sub(ms * 1000);
        let lost = ms / 20 + 1;
        self.add(What::Loss(Loss {
            object: object.into(),
            address: "192.0.2.1".into(),
            from_us,
            to_us,
            lost,
        }))
    }

    /// The first EIP and its FIP, programmed by A at term 1 and Ready.
    fn ready(self) -> Self {
        self.programmed()
            .eip("True", "Ready", Some((A, 1)))
            .fip("True")
    }

    fn programmed(self) -> Self {
        self.lease(A, 1)
            .object(
                "EIP",
                "web",
                "E",
                json!({"spec": {"gateway": {"name": "g"}}}),
                false,
            )
            .object(
                "FIP",
                "fip",
                "F",
                json!({"spec": {"eip": {"name": "web"}}}),
                false,
            )
            .slice(
                "s",
                &["addr E 1 192.0.2.1 up", "fip F 1 192.0.2.1 10.244.0.5 both"],
            )
            .report(A, Some(1), &["s"], json!({}))
    }

    fn broken(&self) -> Vec<&'static str> {
        self.broken_with(Demands::default())
    }

    fn broken_with(&self, demands: Demands) -> Vec<&'static str> {
        check(&self.records, demands)
            .into_iter()
            .map(|violation| violation.rule)
            .collect()
    }
}

fn ready(status: &str, reason: &str) -> Value {
    json!({"type": "Ready", "status": status, "reason": reason, "observedGeneration": 1})
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

const NONE: [&str; 0] = [];

#[test]
fn a_true_after_lease_and_report_is_good() {
    assert_eq!(Script::default().ready().broken(), NONE);
}

#[test]
fn the_order_of_arrival_of_separate_watches_does_not_matter() {
    let mut script = Script::default().ready();
    script.records.reverse();
    assert_eq!(script.broken(), NONE);
}

#[test]
fn a_true_before_the_report_is_bad() {
    let script = Script::default()
        .lease(A, 1)
        .eip("True", "Ready", Some((A, 1)));
    assert_eq!(script.broken(), ["evidence"]);
    let script =
        script
            .slice("s", &["addr E 1 192.0.2.1 up"])
            .report(A, Some(1), &["s"], json!({}));
    assert_eq!(
        script.broken(),
        ["evidence"],
        "a later report does not heal it"
    );
}

#[test]
fn nothing_is_said_of_a_true_whose_report_the_record_may_lack() {
    let script = || {
        let script = Script::default().lease(A, 1);
        script.eip("True", "Ready", Some((A, 1)))
    };
    let gap = |kind: &str, from, to| What::Gap {
        kind: kind.into(),
        from,
        to,
    };
    let rv = script().rv;
    let seen = |kind: &str, from, to| script().add(gap(kind, from, to)).broken();
    assert_eq!(seen("GatewayInstance", rv - 1, rv), NONE);
    assert_eq!(seen("GatewayInstance", rv, rv + 5), ["evidence"]);
    assert_eq!(seen("GatewayInstance", rv - 2, rv - 1), ["evidence"]);
    assert_eq!(seen("SNAT", rv - 1, rv), ["evidence"]);
}

#[test]
fn a_true_without_a_holder_or_with_one_that_never_held_is_bad() {
    assert_eq!(
        Script::default()
            .programmed()
            .eip("True", "Ready", None)
            .broken(),
        ["evidence"]
    );
    let script = Script::default()
        .programmed()
        .report(B, Some(2), &["s"], json!({}))
        .eip("True", "Ready", Some((B, 2)));
    assert_eq!(script.broken(), ["evidence"]);
}

#[test]
fn a_predecessors_report_makes_nothing_ready() {
    // B holds now; what A reported is worth nothing for it.
    let script = Script::default()
        .programmed()
        .lease(B, 2)
        .eip("True", "Ready", Some((B, 2)));
    assert_eq!(script.broken(), ["evidence"]);
    let script = Script::default()
        .programmed()
        .lease(B, 2)
        .report(B, Some(2), &["s"], json!({}))
        .eip("True", "Ready", Some((B, 2)));
    assert_eq!(script.broken(), NONE);
}

#[test]
fn a_standbys_report_makes_nothing_ready() {
    let script = Script::default()
        .programmed()
        .lease(B, 2)
        .report(B, None, &["s"], json!({}))
        .eip("True", "Ready", Some((B, 2)));
    assert_eq!(script.broken(), ["evidence"]);
}

#[test]
fn a_report_without_the_entry_or_with_it_refused_or_unusable_proves_nothing() {
    for report in [
        json!({"applied": {"slices": []}}),
        json!({"applied": null}),
        json!({"applied": {"slices": ["never-seen"]}}),
        json!({"rejected": [{"key": "addr E 192.0.2.1 up", "digest": "d", "error": "e"}]}),
        json!({"unusable": [{"address": "192.0.2.1", "reason": "r", "message": "m"}]}),
        json!({"problems": [{"reason": "r", "message": "m", "blocking": true}]}),
    ] {
        let script = Script::default()
            .lease(A, 1)
            .slice("s", &["addr E 1 192.0.2.1 up"])
            .report(A, Some(1), &["s"], report.clone())
            .eip("True", "Ready", Some((A, 1)));
        assert_eq!(script.broken(), ["evidence"], "{report}");
    }
}

#[test]
fn an_address_found_broken_needs_a_newer_report() {
    let script = Script::default()
        .ready()
        .report(
            A,
            Some(1),
            &["s"],
            json!({"unusable": [{"address": "192.0.2.1"}]}),
        )
        .eip("False", "AddressNotUsable", None);
    assert_eq!(script.broken(), NONE);
    let healed = script
        .report(A, Some(1), &["s"], json!({}))
        .eip("True", "Ready", Some((A, 1)));
    assert_eq!(healed.broken(), NONE);
    let toggled = Script::default()
        .ready()
        .report(
            A,
            Some(1),
            &["s"],
            json!({"unusable": [{"address": "192.0.2.1"}]}),
        )
        .eip("False", "AddressNotUsable", None)
        .eip("True", "Ready", Some((A, 1)));
    assert_eq!(toggled.broken(), ["evidence"]);
}

#[test]
fn a_rule_is_ready_only_with_its_own_entry_of_its_generation_to_its_target() {
    for entry in [
        "fip X 1 192.0.2.1 10.244.0.5 both",
        "fip F 2 192.0.2.1 10.244.0.5 both",
        "fip F 1 192.0.2.1 10.244.0.6 both",
    ] {
        let script = Script::default()
            .lease(A, 1)
            .slice("s", &["addr E 1 192.0.2.1 up", entry])
            .report(A, Some(1), &["s"], json!({}))
            .eip("True", "Ready", Some((A, 1)))
            .fip("True");
        assert_eq!(script.broken(), ["evidence"], "{entry}");
    }
}

#[test]
fn a_superseded_true_is_gone_within_a_second() {
    let base = || Script::default().ready().fault(Harm::Holder).lease(B, 2);
    let good = base()
        .wait(500)
        .eip("False", "HolderChanged", None)
        .fip("False")
        .wait(3000)
        .lease(B, 2);
    assert_eq!(good.broken(), NONE);
    let late = base()
        .wait(1100)
        .eip("False", "HolderChanged", None)
        .fip("False")
        .wait(3000)
        .lease(B, 2);
    assert_eq!(late.broken(), ["superseded", "superseded"]);
    let slack = Demands {
        slack_us: 200_000,
        ..Demands::default()
    };
    assert_eq!(late.broken_with(slack), NONE);
}

#[test]
fn an_eip_that_moves_to_a_lease_has_its_second_from_then() {
    let other = ("pod/other/boot/1", 7);
    // Moved 700 ms after the Lease changed; still True by the gateway it left.
    let moved = || {
        Script::default()
            .elsewhere("False", None)
            .lease(A, 1)
            .wait(700)
            .eip("True", "Ready", Some(other))
    };
    let demands = |script: Script| -> Vec<&'static str> {
        let broken = script.broken();
        broken
            .into_iter()
            .filter(|rule| *rule == "superseded")
            .collect()
    };
    let good = moved()
        .wait(800)
        .eip("False", "Moving", None)
        .wait(3000)
        .lease(A, 1);
    assert_eq!(demands(good), NONE);
    let late = moved()
        .wait(1100)
        .eip("False", "Moving", None)
        .wait(3000)
        .lease(A, 1);
    assert_eq!(demands(late), ["superseded"]);
}

#[test]
fn a_rule_may_stay_true_when_the_new_holder_proves_it_in_time() {
    let script = Script::default()
        .ready()
        .fault(Harm::Holder)
        .lease(B, 2)
        .report(B, Some(2), &["s"], json!({}))
        .eip("True", "Ready", Some((B, 2)))
        .wait(3000)
        .lease(B, 2);
    assert_eq!(script.broken(), NONE);
}

#[test]
fn the_bound_counts_only_while_the_operator_can_write() {
    let base = || {
        Script::default()
            .ready()
            .fault(Harm::Holder)
            .mark(Mark::OperatorOut)
            .lease(B, 2)
            .wait(5000)
    };
    let good = base()
        .mark(Mark::OperatorBack)
        .eip("False", "HolderChanged", None)
        .fip("False")
        .wait(5000)
        .lease(B, 2);
    assert_eq!(good.broken(), NONE);
    let late = base()
        .mark(Mark::OperatorBack)
        .wait(2000)
        .eip("False", "HolderChanged", None)
        .fip("False")
        .lease(B, 2);
    assert_eq!(late.broken(), ["superseded", "superseded"]);
}

#[test]
fn no_true_outlives_a_lease_that_is_not_renewed() {
    let kept = Script::default()
        .ready()
        .wait(20_000)
        .lease(A, 1)
        .wait(20_000)
        .lease(A, 1);
    assert_eq!(kept.broken(), NONE);
    let silent = Script::default().ready().wait(40_000).lease(A, 1);
    assert_eq!(silent.broken(), ["expired", "expired"]);
    let told = Script::default()
        .ready()
        .wait(30_500)
        .eip("Unknown", "HolderLost", None)
        .fip("Unknown")
        .wait(9000)
        .lease(A, 1);
    assert_eq!(told.broken(), NONE);
}

#[test]
fn losses_count_only_while_traffic_is_promised() {
    assert_eq!(
        Script::default()
            .ready()
            .wait(500)
            .loss("EIP/n/web", 100)
            .broken(),
        ["traffic"]
    );
    assert_eq!(
        Script::default()
            .ready()
            .wait(1000)
            .loss("FIP/n/fip", 550)
            .broken(),
        ["traffic"]
    );
    assert_eq!(
        Script::default()
            .ready()
            .wait(500)
            .loss("EIP/n/web", 20)
            .broken(),
        NONE,
        "two requests may get lost"
    );
    assert_eq!(
        Script::default()
            .loss("EIP/n/web", 0)
            .wait(500)
            .loss("EIP/n/web", 400)
            .ready()
            .broken(),
        NONE
    );
    let after = Script::default()
        .ready()
        .fault(Harm::Holder)
        .wait(500)
        .loss("EIP/n/web", 490);
    assert_eq!(after.broken(), NONE);
}

#[test]
fn what_a_predecessor_of_the_same_name_had_is_not_asked_of_its_successor() {
    // The prober has not heard yet that the address is another's.
    let anew = |address| {
        Script::default()
            .ready()
            .object("EIP", "web", "E", json!({}), true)
            .eip_named("web", "N", address, "True", "Ready", Some((A, 1)))
            .fip("True")
            .wait(1000)
    };
    for object in ["EIP/n/web", "FIP/n/fip"] {
        let lost = |address| anew(address).loss(object, 900).broken();
        assert!(!lost("192.0.2.2").contains(&"traffic"), "{object}");
        assert!(lost("192.0.2.1").contains(&"traffic"), "{object}");
    }
}

#[test]
fn what_is_on_its_way_when_harm_is_done_may_be_lost() {
    // Requests wait for an answer for 700 ms; a window that the product ends
    // itself promises every answer, one that a test ends only what had its time.
    let lost_before = |ms| Script::default().ready().wait(2000).loss("EIP/n/web", ms);
    let harmed = |ms| lost_before(ms).fault(Harm::Holder).broken();
    assert_eq!(harmed(600), NONE);
    assert_eq!(harmed(900), ["traffic"]);
    let told = lost_before(600).eip("False", "HolderChanged", None);
    assert_eq!(told.broken(), ["traffic"]);
}

#[test]
fn a_pod_that_ends_promises_nothing_of_what_it_comes_to_hold() {
    let pod = |instance: &str| instance.split('/').nth(1).unwrap_or_default().to_owned();
    let doomed = |instance: &str| {
        let doom = Mark::Doom { pod: pod(instance) };
        Script::default().mark(doom).ready().wait(500)
    };
    assert_eq!(doomed(A).loss("EIP/n/web", 400).broken(), NONE);
    assert_eq!(doomed(B).loss("EIP/n/web", 400).broken(), ["traffic"]);
}

#[test]
fn after_a_fault_only_another_holder_promises_anew() {
    let stale =
        Script::default()
            .programmed()
            .fault(Harm::Holder)
            .eip("True", "Ready", Some((A, 1)));
    assert_eq!(
        stale.wait(500).loss("EIP/n/web", 400).broken(),
        NONE,
        "a True on its way when A went promises nothing"
    );
    let base = || {
        Script::default()
            .ready()
            .fault(Harm::Holder)
            .eip("False", "HolderChanged", None)
    };
    let same = base()
        .eip("True", "Ready", Some((A, 1)))
        .wait(500)
        .loss("EIP/n/web", 400);
    assert_eq!(same.broken(), NONE, "A is gone, whatever is written of it");
    let next = || {
        base()
            .lease(B, 2)
            .report(B, Some(2), &["s"], json!({}))
            .eip("True", "Ready", Some((B, 2)))
    };
    assert_eq!(
        next().wait(500).loss("EIP/n/web", 400).broken(),
        ["traffic"]
    );
    assert_eq!(
        next().wait(1000).loss("FIP/n/fip", 900).broken(),
        ["traffic"],
        "a rule's promise comes back with its EIP's"
    );
}

#[test]
fn traffic_harm_ends_with_the_next_turn_to_true() {
    let base = || {
        Script::default()
            .ready()
            .fault(Harm::Traffic)
            .report(
                A,
                Some(1),
                &["s"],
                json!({"unusable": [{"address": "192.0.2.1"}]}),
            )
            .eip("False", "AddressNotUsable", None)
            .report(A, Some(1), &["s"], json!({}))
            .eip("True", "Ready", Some((A, 1)))
    };
    assert_eq!(base().broken(), NONE);
    assert_eq!(
        base().wait(500).loss("EIP/n/web", 400).broken(),
        ["traffic"]
    );
}

#[test]
fn nothing_is_promised_of_what_is_being_taken_away() {
    let retire = |objects: &str| Mark::Retire {
        objects: vec![objects.into()],
    };
    for name in ["FIP/n/fip", "FIP/*"] {
        let script = Script::default()
            .ready()
            .mark(retire(name))
            .wait(1000)
            .loss("FIP/n/fip", 900);
        assert_eq!(script.broken(), NONE);
    }
    let other = Script::default()
        .ready()
        .mark(retire("FIP/n/other"))
        .wait(1000)
        .loss("FIP/n/fip", 900);
    assert_eq!(other.broken(), ["traffic"]);
}

#[test]
fn two_status_writes_to_ready_are_enough() {
    let demands = Demands {
        few_writes: true,
        ..Demands::default()
    };
    let two = Script::default()
        .programmed()
        .eip("False", "NotProgrammed", None)
        .eip("True", "Ready", Some((A, 1)));
    assert_eq!(two.broken_with(demands), NONE);
    let three = Script::default()
        .programmed()
        .eip("Unknown", "Pending", None)
        .eip("False", "NotProgrammed", None)
        .eip("True", "Ready", Some((A, 1)));
    assert_eq!(three.broken_with(demands), ["writes"]);
    assert_eq!(
        three.broken(),
        NONE,
        "asked for only where no fault is injected"
    );
}

#[test]
fn an_address_has_one_owner() {
    let script = Script::default().eip("Unknown", "Pending", None);
    let other =
        |script: Script| script.eip_named("other", "O", "192.0.2.1", "Unknown", "Pending", None);
    assert_eq!(other(script).broken(), ["unique"]);
    let gone = Script::default().eip("Unknown", "Pending", None).object(
        "EIP",
        "web",
        "E",
        json!({"status": {"ipv4": "192.0.2.1"}}),
        true,
    );
    assert_eq!(other(gone).broken(), NONE);
}

#[test]
fn an_address_that_the_holders_kernel_has_for_another_is_not_given_away() {
    let gone = json!({"status": {"ipv4": "192.0.2.1"}});
    let base = || {
        Script::default()
            .programmed()
            .object("EIP", "web", "E", gone.clone(), true)
    };
    let other =
        |script: Script| script.eip_named("other", "O", "192.0.2.1", "Unknown", "Pending", None);
    assert_eq!(other(base()).broken(), ["unique"]);
    assert_eq!(
        other(base().report(A, Some(1), &[], json!({}))).broken(),
        NONE
    );
}

#[test]
fn idle_means_renewals_only() {
    let base = || Script::default().ready().mark(Mark::IdleFrom);
    assert_eq!(base().lease(A, 1).mark(Mark::IdleTo).broken(), NONE);
    assert_eq!(
        base().lease(A, 1).mark(Mark::IdleTo).fip("True").broken(),
        NONE,
        "idleness was over"
    );
    assert_eq!(base().fip("True").mark(Mark::IdleTo).broken(), ["idle"]);
    let change = base().lease(A, 2).mark(Mark::IdleTo);
    assert!(change.broken().contains(&"idle"));
}

#[test]
fn a_leak_is_a_violation() {
    let leak = |host: &str| {
        What::Leak(Leak {
            host: host.into(),
            interface: "eth0".into(),
            bytes: "00".into(),
        })
    };
    let host = || "node/node-a".to_owned();
    let starting = |script: Script| script.mark(Mark::Starting { host: host() });
    let script = Script::default().add(leak("node/node-a"));
    assert_eq!(script.broken(), ["leak"]);
    // Nothing but what inside hosts of that host send while they start.
    let script = starting(Script::default()).add(leak("node/node-a"));
    assert!(script.broken().is_empty());
    let script = starting(Script::default()).add(leak("node/node-b"));
    assert_eq!(script.broken(), ["leak"]);
    let script = starting(Script::default()).mark(Mark::Started { host: host() });
    assert_eq!(script.add(leak("node/node-a")).broken(), ["leak"]);
}
