//! The quick start as it stands in examples/, and what each side sees.

use serde_json::{Value, json};
use sluice_e2e::evidence::Mark;

use crate::address::{FAR, OUTSIDE, TENANTS};
use crate::failure::Outcome;
use crate::gateway::{NS, dnat, eip, fip, snat};
use crate::runner::Scenario;
use crate::stage::{Stage, text};
use crate::traffic::{outside, tenant};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "the_quick_start_of_the_examples_becomes_ready",
        secs: 60,
        full: false,
        run: example,
    },
    Scenario {
        name: "each_rule_translates_as_it_says_in_both_families",
        secs: 60,
        full: false,
        run: rules,
    },
    Scenario {
        name: "an_object_takes_two_status_writes_to_ready_and_idleness_writes_nothing",
        secs: 60,
        full: false,
        run: quiet,
    },
];

/// `kubectl apply -f examples/quickstart.yaml`, then everything is Ready.
fn example(stage: &mut Stage) -> Outcome {
    let file = stage.lab.paths().repo.join("examples/quickstart.yaml");
    let manifest = std::fs::read_to_string(&file)?;
    stage.kubectl(&["apply", "-f", "-"], Some(&manifest))?;
    stage.wait("sight of EIPs", 5.0, || {
        !stage.history.live_of("EIP").is_empty()
    })?;
    stage.wait_all_ready(30.0)?;
    for kind in ["EIP", "FIP"] {
        for object in stage.history.live_of(kind) {
            stage.probe(
                kind,
                &text(&object, "/metadata/namespace"),
                &text(&object, "/metadata/name"),
            )?;
        }
    }
    stage.probes_pass(5.0)?;
    stage.pause(1.0);
    // The clean-up would have to wait for the whole cooldown.
    for pool in stage.history.live_of("EIPPool") {
        let name = text(&pool, "/metadata/name");
        stage.patch("EIPPool", "", &name, &json!({"spec": {"cooldown": "1s"}}))?;
    }
    Ok(())
}

fn rules(stage: &mut Stage) -> Outcome {
    stage.demands.few_writes = true;
    stage.with_gateway()?;
    let (web, web2) = (TENANTS[0].1, TENANTS[1].1);
    stage.create_all(&[
        eip(NS, "whole"),
        eip(NS, "ports"),
        eip(NS, "egress"),
        fip(NS, "whole", "whole", web),
        dnat(NS, "single", "ports", json!(8080), web2, json!(80)),
        dnat(
            NS,
            "range",
            "ports",
            json!("8000-8009"),
            web2,
            json!("8000-8009"),
        ),
        dnat(
            NS,
            "shifted",
            "ports",
            json!("7000-7099"),
            web2,
            json!("9000-9099"),
        ),
        snat(
            NS,
            "egress",
            "egress",
            &["10.244.0.0/24", "fd00:10:244::/64"],
        ),
    ])?;
    for (kind, name) in [
        ("EIP", "whole"),
        ("FIP", "whole"),
        ("DNAT", "single"),
        ("DNAT", "shifted"),
        ("SNAT", "egress"),
    ] {
        stage.wait_seen(kind, NS, name)?;
    }
    stage.wait_all_ready(20.0)?;
    for (name, kind) in [
        ("whole", "EIP"),
        ("ports", "EIP"),
        ("egress", "EIP"),
        ("whole", "FIP"),
    ] {
        stage.probe(kind, NS, name)?;
    }
    let both = [
        stage.addresses(NS, "whole")?,
        stage.addresses(NS, "ports")?,
        stage.addresses(NS, "egress")?,
    ];
    let [[whole4, whole6], [ports4, ports6], [egress4, egress6]] = both;
    let families = [
        (whole4, ports4, egress4, OUTSIDE.0, FAR.0),
        (whole6, ports6, egress6, OUTSIDE.1, FAR.1),
    ];
    for (whole, ports, egress, client, far) in families {
        stage.expect_http(&outside("client"), &whole, 80, "web", client)?;
        stage.expect_udp(&outside("client"), &whole, "web", client)?;
        stage.expect_http(&tenant("web"), client, 80, "client", &whole)?;
        stage.expect_udp(&tenant("web"), client, "client", &whole)?;
        for (port, inside) in [
            (8080, 80),
            (8000, 8000),
            (8009, 8009),
            (7000, 9000),
            (7099, 9099),
        ] {
            stage.expect_http(&outside("client"), &ports, port, "web2", client)?;
            let seen = stage.http(&outside("client"), &ports, port)?;
            crate::failure::demand(seen.own_port == inside, || {
                format!(
                    "{ports}:{port} went to port {}, not {inside}",
                    seen.own_port
                )
            })?;
        }
        stage.expect_no_http(&outside("client"), &ports, 8081)?;
        stage.expect_http(&tenant("client-a"), client, 80, "client", &egress)?;
        stage.expect_http(&tenant("client-b"), client, 80, "client", &egress)?;
        // From far away, through the outside router.
        stage.expect_http(&outside("client2"), &whole, 80, "web", far)?;
        stage.expect_http(&tenant("client-b"), far, 80, "client2", &egress)?;
    }
    stage.probes_pass(5.0)
}

/// Bare creation, and then nothing: few writes until Ready, none after.
fn quiet(stage: &mut Stage) -> Outcome {
    stage.demands.few_writes = true;
    stage.with_gateway()?;
    stage.with_pairs(10)?;
    let mut more: Vec<Value> = vec![eip(NS, "ports"), eip(NS, "egress")];
    more.push(dnat(
        NS,
        "ports",
        "ports",
        json!("8000-8099"),
        TENANTS[1].1,
        json!("9000-9099"),
    ));
    more.push(snat(
        NS,
        "egress",
        "egress",
        &["10.244.0.0/24", "fd00:10:244::/64"],
    ));
    stage.create_all(&more)?;
    stage.wait_seen("SNAT", NS, "egress")?;
    stage.wait_all_ready(20.0)?;
    // The gateway's own status may follow up to a second later.
    stage.pause(3.0);
    stage.history.mark(Mark::IdleFrom);
    stage.pause(if stage.full { 60.0 } else { 8.0 });
    stage.history.mark(Mark::IdleTo);
    Ok(())
}
