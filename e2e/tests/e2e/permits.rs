//! Whom gateways and pools serve, and what pools have, changes under use.

#![allow(clippy::indexing_slicing, reason = "lists of two: families")]

use serde_json::{Value, json};

use crate::address::TENANTS;
use crate::failure::{Outcome, demand};
use crate::gateway::{GATEWAY, NS, VERSION, eip, fip, gateway};
use crate::runner::Scenario;
use crate::stage::{Stage, text};
use crate::traffic::outside;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_permission_that_is_withdrawn_silences_and_one_that_is_given_back_revives",
        secs: 120,
        full: false,
        run: withdrawn,
    },
    Scenario {
        name: "a_pool_changes_its_size_under_use",
        secs: 90,
        full: false,
        run: resized,
    },
];

const HTTP: u16 = 8080;
/// The label by which a namespace is let in.
const LABEL: &str = "e2e.sluice.dev/egress";

fn withdrawn(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.create_all(&[eip(NS, "web"), fip(NS, "web", "web", TENANTS[0].1)])?;
    // An EIP of the gateway's own namespace, which keeps its service throughout.
    stage.create(&eip(GATEWAY.0, "own"))?;
    stage.wait_seen("FIP", NS, "web")?;
    stage.wait_seen("EIP", GATEWAY.0, "own")?;
    stage.wait_all_ready(30.0)?;
    let had = stage.addresses(NS, "web")?;
    stage.probe("EIP", NS, "web")?;
    stage.probe("FIP", NS, "web")?;
    stage.probe("EIP", GATEWAY.0, "own")?;
    stage.probes_pass(5.0)?;

    let allow = |from: Value| json!({"spec": {"allowedNamespaces": from}});
    let labelled = || json!({"from": "Selector", "selector": {"matchLabels": {LABEL: "yes"}}});
    // The gateway serves its own namespace only.
    retire(stage);
    stage.patch(
        "NATGateway",
        GATEWAY.0,
        GATEWAY.1,
        &allow(json!({"from": "Same", "selector": null})),
    )?;
    is_out(stage, &had, "allowedNamespaces")?;
    // Namespaces with a label, which the gateway's own has, and this one gets.
    label_of(stage, GATEWAY.0, json!("yes"))?;
    stage.patch("NATGateway", GATEWAY.0, GATEWAY.1, &allow(labelled()))?;
    label(stage, json!("yes"))?;
    is_back(stage, &had)?;
    // And loses.
    retire(stage);
    label(stage, json!("no"))?;
    is_out(stage, &had, "allowedNamespaces")?;
    stage.patch(
        "NATGateway",
        GATEWAY.0,
        GATEWAY.1,
        &allow(json!({"from": "All", "selector": null})),
    )?;
    is_back(stage, &had)?;
    // The same of the pool, which has to let in the gateway's namespace, too.
    retire(stage);
    stage.patch("EIPPool", "", "external", &allow(labelled()))?;
    is_out(stage, &had, "EIPPool external")?;
    label(stage, json!("yes"))?;
    is_back(stage, &had)?;
    label_of(stage, GATEWAY.0, Value::Null)?;
    label(stage, Value::Null)?;
    stage.patch(
        "EIPPool",
        "",
        "external",
        &allow(json!({"from": "All", "selector": null})),
    )?;
    stage.wait_all_ready(20.0)?;
    let own = stage.condition("EIP", GATEWAY.0, "own", "Ready");
    demand(own.0 == "True", || {
        format!("the gateway's own EIP is {own:?}")
    })
}

fn label(stage: &Stage, value: Value) -> Outcome {
    label_of(stage, NS, value)
}

fn label_of(stage: &Stage, namespace: &str, value: Value) -> Outcome {
    let patch = json!({"metadata": {"labels": {LABEL: value}}});
    stage.patch("Namespace", "", namespace, &patch)
}

/// Nothing is promised of the EIP's traffic until its next True.
fn retire(stage: &Stage) {
    stage.retire(&[format!("EIP/{NS}/web"), format!("FIP/{NS}/web")]);
}

/// The EIP says who does not allow it, and nobody answers for it.
fn is_out(stage: &Stage, addresses: &[String; 2], named: &str) -> Outcome {
    stage.wait_condition(
        ("EIP", NS, "web"),
        "Accepted",
        ("False", "NotAllowed"),
        10.0,
    )?;
    stage.wait_condition(("EIP", NS, "web"), "Ready", ("False", ""), 10.0)?;
    stage.wait_condition(("FIP", NS, "web"), "Ready", ("False", ""), 10.0)?;
    let web = stage.live("EIP", NS, "web").unwrap_or_default();
    demand(web.to_string().contains(named), || {
        format!("its status does not name {named}: {}", web["status"])
    })?;
    let client = outside("client");
    stage.wait_for("silence", 5.0, || {
        let answers = addresses
            .iter()
            .any(|a| stage.http(&client, a, HTTP).is_ok());
        if answers {
            Err("it answers".to_owned())
        } else {
            Ok(())
        }
    })
}

/// It is in service again with the addresses that it had.
fn is_back(stage: &Stage, had: &[String; 2]) -> Outcome {
    stage.wait_ready(&[("EIP", NS, "web"), ("FIP", NS, "web")], 20.0)?;
    let has = stage.addresses(NS, "web")?;
    demand(has == *had, || {
        format!("it had {had:?} and has {has:?} now")
    })?;
    stage.probes_pass(5.0)
}

fn resized(stage: &mut Stage) -> Outcome {
    let subnets = |ranges: Value| {
        json!({"spec": {"cooldown": "1s", "subnets": [
            {"cidr": "10.155.30.0/24", "gateway": "10.155.30.1", "ranges": ranges}]}})
    };
    let mut pool =
        json!({"apiVersion": VERSION, "kind": "EIPPool", "metadata": {"name": "external"}});
    pool["spec"] = subnets(json!(["10.155.30.200-10.155.30.201"]))["spec"].clone();
    stage.create(&pool)?;
    stage.create(&gateway(GATEWAY.0, GATEWAY.1, "external"))?;
    let single = |name: &str| {
        let mut eip = eip(NS, name);
        eip["spec"]["ipFamilyPolicy"] = json!("SingleStack");
        eip
    };
    stage.create_all(&[single("a"), single("b")])?;
    stage.wait_seen("EIP", NS, "b")?;
    stage.wait_ready(&[("EIP", NS, "a"), ("EIP", NS, "b")], 30.0)?;
    let address = |stage: &Stage, name: &str| {
        text(
            &stage.live("EIP", NS, name).unwrap_or_default(),
            "/status/ipv4",
        )
    };
    let had = [address(stage, "a"), address(stage, "b")];
    stage.probe("EIP", NS, "a")?;
    stage.probe("EIP", NS, "b")?;
    stage.probes_pass(5.0)?;

    // Full: the third waits, and gets an address as soon as the pool grows.
    stage.create(&single("c"))?;
    stage.wait_seen("EIP", NS, "c")?;
    stage.wait_condition(
        ("EIP", NS, "c"),
        "Accepted",
        ("False", "PoolExhausted"),
        10.0,
    )?;
    stage.wait_condition(("EIPPool", "", "external"), "Exhausted", ("True", ""), 10.0)?;
    stage.patch(
        "EIPPool",
        "",
        "external",
        &subnets(json!(["10.155.30.200-10.155.30.202"])),
    )?;
    stage.wait_ready(&[("EIP", NS, "c")], 15.0)?;
    let third = address(stage, "c");
    demand(third == "10.155.30.202", || format!("c has {third}"))?;

    // Smaller: who is in it stays, and nobody new gets what it has no more.
    stage.patch(
        "EIPPool",
        "",
        "external",
        &subnets(json!(["10.155.30.210"])),
    )?;
    stage.create(&single("d"))?;
    stage.wait_seen("EIP", NS, "d")?;
    stage.wait_ready(&[("EIP", NS, "d")], 15.0)?;
    let fourth = address(stage, "d");
    demand(fourth == "10.155.30.210", || format!("d has {fourth}"))?;
    stage.pause(1.0);
    stage.wait_all_ready(5.0)?;
    let have = [address(stage, "a"), address(stage, "b")];
    demand(have == had, || {
        format!("they had {had:?} and have {have:?} now")
    })?;
    // What leaves does not come back to the pool.
    stage.retire(&[format!("EIP/{NS}/a")]);
    stage.delete("EIP", NS, "a")?;
    stage.wait_gone("EIP", NS, "a", 15.0)?;
    stage.create(&single("e"))?;
    stage.wait_seen("EIP", NS, "e")?;
    stage.wait_condition(
        ("EIP", NS, "e"),
        "Accepted",
        ("False", "PoolExhausted"),
        10.0,
    )?;
    stage.delete("EIP", NS, "e")
}
