//! Objects that cannot be accepted say why, and never stop another.

use serde_json::{Value, json};

use crate::address::TENANTS;
use crate::failure::{Outcome, demand};
use crate::gateway::{GATEWAY, NS, VERSION, dnat, eip, fip, gateway, pool, snat};
use crate::runner::Scenario;
use crate::stage::{Stage, text};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "an_object_that_is_not_accepted_says_why_and_stops_no_other",
        secs: 90,
        full: false,
        run: reasons,
    },
    Scenario {
        name: "the_younger_of_two_in_conflict_is_taken_up_when_the_older_goes",
        secs: 60,
        full: false,
        run: conflict,
    },
    Scenario {
        name: "an_eip_with_rules_waits_and_takes_no_new_ones",
        secs: 60,
        full: false,
        run: blocked,
    },
    Scenario {
        name: "what_one_object_gets_wrong_is_refused_at_admission",
        secs: 30,
        full: false,
        run: admission,
    },
];

/// An object, and the reason that its Accepted condition must have.
type Case = (Value, &'static str);

fn reasons(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let (web, web2) = (TENANTS[0].1, TENANTS[1].1);
    let tiny = json!({
        "apiVersion": VERSION, "kind": "EIPPool", "metadata": {"name": "tiny"},
        "spec": {"cooldown": "1s", "subnets": [{"cidr": "10.155.31.0/24", "ranges": ["10.155.31.7"]}]},
    });
    let closed = with(
        gateway(GATEWAY.0, "closed", "tiny"),
        &[
            ("/spec/allowedNamespaces", json!({"from": "Same"})),
            // The usual gateway has the usual next hop.
            ("/spec/lan/addresses", json!(["10.244.0.253/16"])),
        ],
    );
    // An overlap stops both pools, so it is not with one that others use.
    let spare = json!({
        "apiVersion": VERSION, "kind": "EIPPool", "metadata": {"name": "spare"},
        "spec": {"cooldown": "1s", "subnets": [{"cidr": "10.155.32.0/24", "ranges": ["10.155.32.7-10.155.32.9"]}]},
    });
    stage.create_all(&[
        tiny,
        spare,
        closed,
        eip(NS, "good"),
        fip(NS, "good", "good", web),
        eip(NS, "ports"),
        dnat(NS, "good", "ports", json!(8080), web2, json!(80)),
        with(
            eip(NS, "only4"),
            &[
                ("/spec/ipFamilyPolicy", json!("SingleStack")),
                ("/spec/ipFamilies", json!(["IPv4"])),
            ],
        ),
        with(
            eip("net", "last"),
            &[
                ("/spec/gateway", json!({"name": "closed"})),
                ("/spec/ipFamilyPolicy", json!("SingleStack")),
            ],
        ),
    ])?;
    stage.wait("sight of all objects", 5.0, || {
        stage.history.live_of("EIP").len() == 4
    })?;
    stage.wait_all_ready(30.0)?;
    stage.probe("EIP", NS, "good")?;
    stage.probe("FIP", NS, "good")?;
    let taken = stage.addresses(NS, "good")?[0].clone();

    let elsewhere = |ns: &str, name: &str| json!({"namespace": ns, "name": name});
    let cases: Vec<Case> = vec![
        (fip(NS, "b-eip", "nosuch", web), "EIPNotFound"),
        (
            dnat(NS, "b-eip", "nosuch", json!(1), web, json!(1)),
            "EIPNotFound",
        ),
        (
            snat(NS, "b-eip", "nosuch", &["10.244.0.0/24"]),
            "EIPNotFound",
        ),
        (
            with(
                eip(NS, "b-gateway"),
                &[("/spec/gateway", elsewhere("net", "nosuch"))],
            ),
            "GatewayNotFound",
        ),
        (
            with(eip(NS, "b-pool"), &[("/spec/pool", json!("nosuch"))]),
            "PoolNotOnGateway",
        ),
        (
            with(eip(NS, "b-other-pool"), &[("/spec/pool", json!("tiny"))]),
            "PoolNotOnGateway",
        ),
        (
            with(
                eip(NS, "b-closed"),
                &[
                    ("/spec/gateway", elsewhere("net", "closed")),
                    ("/spec/ipFamilyPolicy", json!("SingleStack")),
                ],
            ),
            "NotAllowed",
        ),
        (
            with(
                eip("net", "b-full"),
                &[
                    ("/spec/gateway", json!({"name": "closed"})),
                    ("/spec/ipFamilyPolicy", json!("SingleStack")),
                ],
            ),
            "PoolExhausted",
        ),
        (
            with(
                eip(NS, "b-taken"),
                &[
                    ("/spec/addresses", json!([taken])),
                    ("/spec/ipFamilyPolicy", json!("SingleStack")),
                ],
            ),
            "AddressInUse",
        ),
        (
            with(
                eip(NS, "b-range"),
                &[
                    ("/spec/addresses", json!(["10.155.30.77"])),
                    ("/spec/ipFamilyPolicy", json!("SingleStack")),
                ],
            ),
            "AddressNotInPool",
        ),
        (fip(NS, "b-conflict", "good", web2), "Conflict"),
        (
            dnat(NS, "b-fip-has-it", "good", json!(99), web2, json!(99)),
            "Conflict",
        ),
        (
            dnat(
                NS,
                "b-port-taken",
                "ports",
                json!("8000-8099"),
                web2,
                json!("8000-8099"),
            ),
            "Conflict",
        ),
        (
            with(
                fip(NS, "b-family", "only4", web),
                &[("/spec/target/ips", json!([web.1]))],
            ),
            "FamilyMismatch",
        ),
        (
            fip(NS, "b-target", "ports", ("10.99.0.1", "fd00:99::1")),
            "TargetNotAllowed",
        ),
        (fip(NS, "b-unaccepted", "b-gateway", web), "EIPNotAccepted"),
        (
            with(
                pool("b-overlap"),
                &[(
                    "/spec/subnets",
                    json!([{"cidr": "10.155.32.0/24", "ranges": ["10.155.32.8-10.155.32.19"]}]),
                )],
            ),
            "Overlap",
        ),
        (
            with(
                gateway("net", "b-attachment", "tiny"),
                &[("/spec/uplinks/0/networkAttachment", json!("net/nosuch"))],
            ),
            "AttachmentNotFound",
        ),
    ];
    let objects: Vec<Value> = cases.iter().map(|(object, _)| object.clone()).collect();
    stage.create_all(&objects)?;
    for (object, reason) in &cases {
        let (kind, ns, name) = (
            text(object, "/kind"),
            text(object, "/metadata/namespace"),
            text(object, "/metadata/name"),
        );
        stage.wait_seen(&kind, &ns, &name)?;
        stage.wait_condition(
            (&kind, &ns, &name),
            "Accepted",
            ("False", &format!("{reason}: ")),
            10.0,
        )?;
        let (ready, why) = stage.condition(&kind, &ns, &name, "Ready");
        demand(ready == "False", || {
            format!("{kind} {ns}/{name} is not accepted and Ready is {ready:?} ({why})")
        })?;
    }
    stage.tell(format!("{} reasons", cases.len()));
    // Those that were good are good still, and a new good one comes through.
    stage.create_all(&[eip(NS, "late"), fip(NS, "late", "late", web2)])?;
    stage.wait_seen("FIP", NS, "late")?;
    stage.wait_ready(
        &[
            ("EIP", NS, "late"),
            ("FIP", NS, "late"),
            ("EIP", NS, "good"),
            ("FIP", NS, "good"),
            ("DNAT", NS, "good"),
        ],
        10.0,
    )?;
    stage.probe("FIP", NS, "late")?;
    stage.probes_pass(3.0)
}

fn conflict(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let (web, web2) = (TENANTS[0].1, TENANTS[1].1);
    stage.create_all(&[eip(NS, "web")])?;
    stage.create(&fip(NS, "older", "web", web))?;
    stage.wait_seen("FIP", NS, "older")?;
    stage.wait_all_ready(20.0)?;
    stage.create(&fip(NS, "younger", "web", web2))?;
    stage.wait_seen("FIP", NS, "younger")?;
    stage.wait_condition(
        ("FIP", NS, "younger"),
        "Accepted",
        ("False", "Conflict"),
        10.0,
    )?;
    let (_, why) = stage.condition("FIP", NS, "younger", "Accepted");
    demand(why.contains("older"), || {
        format!("the winner is not named: {why}")
    })?;
    stage.delete("FIP", NS, "older")?;
    stage.wait_ready(&[("FIP", NS, "younger")], 10.0)?;
    let address = stage.addresses(NS, "web")?[0].clone();
    stage.expect_http(
        &crate::traffic::outside("client"),
        &address,
        80,
        "web2",
        crate::address::OUTSIDE.0,
    )
}

fn blocked(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.create_all(&[eip(NS, "web"), fip(NS, "web", "web", TENANTS[0].1)])?;
    stage.wait_seen("FIP", NS, "web")?;
    stage.wait_all_ready(20.0)?;
    stage.probe("FIP", NS, "web")?;
    stage.delete("EIP", NS, "web")?;
    stage.wait_for("DeletionBlocked", 10.0, || {
        let eip = stage.live("EIP", NS, "web").ok_or("it is gone")?;
        let all = eip
            .pointer("/status/conditions")
            .cloned()
            .unwrap_or_default()
            .to_string();
        if all.contains("DeletionBlocked") && all.contains("web") {
            Ok(())
        } else {
            Err(all)
        }
    })?;
    stage.create(&dnat(
        NS,
        "late",
        "web",
        json!(8080),
        TENANTS[1].1,
        json!(80),
    ))?;
    stage.wait_seen("DNAT", NS, "late")?;
    stage.wait_condition(
        ("DNAT", NS, "late"),
        "Accepted",
        ("False", "EIPTerminating"),
        10.0,
    )?;
    stage.probes_pass(3.0)?;
    stage.retire(&["FIP/*".into(), "EIP/*".into()]);
    stage.delete("FIP", NS, "web")?;
    stage.wait_gone("EIP", NS, "web", 20.0)
}

/// A few of many: the whole table stands beside the rules themselves.
fn admission(stage: &mut Stage) -> Outcome {
    let cases = [
        (
            with(
                eip(NS, "x"),
                &[("/spec/addresses", json!(["::ffff:10.0.0.1"]))],
            ),
            "addresses",
        ),
        (
            with(
                eip(NS, "x"),
                &[("/spec/addresses", json!(["10.155.030.1"]))],
            ),
            "addresses",
        ),
        (
            with(
                fip(NS, "x", "web", TENANTS[0].1),
                &[("/spec/target/ips", json!(["224.0.0.1"]))],
            ),
            "ips",
        ),
        (
            with(
                pool("x"),
                &[("/spec/subnets/0/cidr", json!("10.155.30.5/24"))],
            ),
            "cidr",
        ),
        (
            dnat(NS, "x", "web", json!("8099-8000"), TENANTS[0].1, json!(80)),
            "ports",
        ),
        (
            dnat(NS, "x", "web", json!(0), TENANTS[0].1, json!(80)),
            "ports",
        ),
        (snat(NS, "x", "web", &["0.0.0.0/0"]), "sources"),
        (
            with(
                gateway(NS, "x", "external"),
                &[(
                    "/spec/lan/addresses",
                    json!(["10.244.0.254/24", "10.244.0.253/24"]),
                )],
            ),
            "addresses",
        ),
    ];
    for (object, field) in cases {
        match stage.create(&object) {
            Ok(_) => return crate::failure::wrong(format!("this was not refused: {object}")),
            Err(failure) => {
                let said = failure.to_string();
                demand(said.contains(field), || {
                    format!("the refusal of {object} does not name {field}: {said}")
                })?;
            }
        }
    }
    Ok(())
}

/// The object with other values in some places.
fn with(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    object
}
