//! Port forwarding to several targets, and what one DNAT takes from another.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::address::{OUTSIDE, Pair, TENANTS};
use crate::failure::{Outcome, demand, wrong};
use crate::gateway::{NS, dnat, eip};
use crate::runner::Scenario;
use crate::stage::Stage;
use crate::traffic::{Held, outside};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "targets_share_new_connections_and_keep_their_own_when_others_change",
        secs: 120,
        full: false,
        run: shared,
    },
    Scenario {
        name: "a_dnat_waits_for_ports_and_for_room_that_older_ones_have",
        secs: 120,
        full: false,
        run: refused,
    },
];

/// Requests by which shares are judged: of 60, a share of 3 in 4 is 45 with a standard
/// deviation of 3.4.
const REQUESTS: usize = 60;

fn target(ips: Pair, weight: u8) -> Value {
    json!({"ips": [ips.0, ips.1], "weight": weight})
}

fn shared(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let [(_, web), (_, web2), (_, client_a), _] = TENANTS;
    let mut all = dnat(NS, "shared", "web", json!("*"), web, json!("*"));
    if let Some(spec) = all.pointer_mut("/spec") {
        spec["protocols"] = json!(["TCP", "UDP"]);
        spec["targets"] = json!([target(web, 3), target(web2, 1)]);
    }
    stage.create_all(&[eip(NS, "web"), eip(NS, "shifted")])?;
    stage.create_all(&[
        all,
        dnat(
            NS,
            "shifted",
            "shifted",
            json!("8100-8199"),
            web2,
            json!("9000-9099"),
        ),
    ])?;
    stage.wait_seen("DNAT", NS, "shared")?;
    stage.wait_seen("DNAT", NS, "shifted")?;
    stage.wait_all_ready(20.0)?;

    let client = outside("client");
    let sources = [OUTSIDE.0, OUTSIDE.1];
    for (address, source) in stage.addresses(NS, "shifted")?.iter().zip(sources) {
        for port in [8100, 8199] {
            stage.expect_http(&client, address, port, "web2", source)?;
        }
    }
    let both = stage.addresses(NS, "web")?;
    for (address, source) in both.iter().zip(sources) {
        let seen = spread(stage, address, source)?;
        let of = |pod: &str| seen.get(pod).copied().unwrap_or(0);
        demand(of("web") > REQUESTS / 2 && of("web2") > 0, || {
            format!("of {REQUESTS} connections to {address}, at 3 to 1: {seen:?}")
        })?;
        demand(of("web") + of("web2") == REQUESTS, || {
            format!("{address} is answered by others: {seen:?}")
        })?;
        let datagram = stage.udp(&client, address)?;
        demand(datagram.source == source, || {
            format!("a datagram: {datagram:?}")
        })?;
    }

    // A target goes and another comes: only the connections of the one that went end.
    let mut held = Vec::new();
    for address in &both {
        held.push((
            hold_with(stage, address, "web")?,
            hold_with(stage, address, "web2")?,
        ));
    }
    change(stage, json!([target(client_a, 1), target(web, 1)]), 2)?;
    for (_, gone) in &mut held {
        stage.wait("the end of web2's connection", 6.0, || gone.ended())?;
        demand(gone.pod() == "web2", || {
            format!("it went on to {}", gone.pod())
        })?;
    }
    for (kept, _) in &mut held {
        goes_on(stage, kept, "web")?;
    }
    for (address, source) in both.iter().zip(sources) {
        let seen = spread(stage, address, source)?;
        demand(seen.len() == 2 && !seen.contains_key("web2"), || {
            format!("between client-a and web: {seen:?}")
        })?;
    }

    // Drained, it takes nothing new and keeps what it has.
    change(stage, json!([target(client_a, 1), target(web, 0)]), 3)?;
    for (address, source) in both.iter().zip(sources) {
        let seen = spread(stage, address, source)?;
        demand(seen.len() == 1 && seen.contains_key("client-a"), || {
            format!("web is drained: {seen:?}")
        })?;
    }
    for (kept, _) in &mut held {
        goes_on(stage, kept, "web")?;
    }

    // All drained is nothing that can be done.
    stage.patch(
        "DNAT",
        NS,
        "shared",
        &json!({"spec": {"targets": [target(web, 0)]}}),
    )?;
    stage.wait_condition(
        ("DNAT", NS, "shared"),
        "Accepted",
        ("False", "Invalid: spec.targets"),
        10.0,
    )
}

/// How many of [`REQUESTS`] new connections each pod answers.
fn spread(stage: &Stage, address: &str, source: &str) -> Outcome<BTreeMap<String, usize>> {
    let mut seen = BTreeMap::new();
    for _ in 0..REQUESTS {
        let answer = stage.http(&outside("client"), address, 80)?;
        demand(answer.source == source, || {
            format!(
                "{address} sees {} and not the client {source}",
                answer.source
            )
        })?;
        *seen.entry(answer.pod).or_default() += 1;
    }
    Ok(seen)
}

/// A connection that is held open with that pod; the others that come on the way end.
fn hold_with(stage: &Stage, address: &str, pod: &str) -> Outcome<Held> {
    for _ in 0..40 {
        let held = stage.hold(&outside("client"), address)?;
        if held.pod() == pod {
            return Ok(held);
        }
    }
    wrong(format!("none of 40 connections to {address} reaches {pod}"))
}

/// Gives the DNAT other targets and waits until that is Ready.
fn change(stage: &Stage, targets: Value, generation: i64) -> Outcome {
    stage.patch("DNAT", NS, "shared", &json!({"spec": {"targets": targets}}))?;
    stage.wait("the new generation", 5.0, || {
        stage
            .live("DNAT", NS, "shared")
            .is_some_and(|dnat| dnat.pointer("/metadata/generation") == Some(&generation.into()))
    })?;
    stage.wait_ready(&[("DNAT", NS, "shared")], 10.0)
}

fn goes_on(stage: &Stage, held: &mut Held, pod: &str) -> Outcome {
    let before = held.count();
    stage.wait("more answers on a held connection", 3.0, || {
        held.count() > before + 3 || held.ended()
    })?;
    demand(!held.ended() && held.pod() == pod, || {
        format!(
            "the connection to {pod} ended, or went on to {}",
            held.pod()
        )
    })
}

fn refused(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let (web, web2) = (TENANTS[0].1, TENANTS[1].1);
    let client = outside("client");
    let young = ("DNAT", NS, "young");
    let large = ("DNAT", NS, "large");
    stage.create_all(&[eip(NS, "web"), eip(NS, "wide")])?;
    stage.create(&dnat(NS, "old", "web", json!(8080), web, json!(80)))?;
    // 30,000 shifted ports of two families are 60,000 elements of 65,536.
    stage.create(&dnat(
        NS,
        "wide",
        "wide",
        json!("1000-30999"),
        web,
        json!("1001-31000"),
    ))?;
    stage.wait_seen("DNAT", NS, "old")?;
    stage.wait_seen("DNAT", NS, "wide")?;
    stage.wait_all_ready(30.0)?;

    stage.create(&dnat(NS, "young", "web", json!("*"), web2, json!("*")))?;
    stage.wait_seen(young.0, young.1, young.2)?;
    let why = "Conflict: spec.ports: * overlap with 8080 of the older DNAT tenants/old";
    stage.wait_condition(young, "Accepted", ("False", why), 10.0)?;
    stage.create(&dnat(
        NS,
        "large",
        "web",
        json!("10000-12999"),
        web2,
        json!("20000-22999"),
    ))?;
    stage.wait_seen(large.0, large.1, large.2)?;
    let why = "TooLarge: spec: its ports and targets need 6000 elements in the maps of NATGateway net/egress, where older DNATs have 60000 of 65536";
    stage.wait_condition(large, "Accepted", ("False", why), 10.0)?;
    // Nobody else is the worse for it.
    let both = stage.addresses(NS, "web")?;
    let wide = stage.addresses(NS, "wide")?;
    let sources = [OUTSIDE.0, OUTSIDE.1];
    for ((address, wide), source) in both.iter().zip(&wide).zip(sources) {
        stage.expect_http(&client, address, 8080, "web", source)?;
        stage.expect_http(&client, wide, 8079, "web", source)?;
        stage.expect_no_http(&client, address, 80)?;
    }

    stage.delete("DNAT", NS, "wide")?;
    stage.wait_ready(&[large], 20.0)?;
    stage.delete("DNAT", NS, "large")?;
    stage.delete("DNAT", NS, "old")?;
    stage.wait_ready(&[young], 20.0)?;
    for (address, source) in both.iter().zip(sources) {
        for port in [80, 8000] {
            stage.expect_http(&client, address, port, "web2", source)?;
        }
    }
    Ok(())
}
