//! An EIP goes from one gateway to another, and answers in one place at a time.

#![allow(clippy::indexing_slicing, reason = "lists of two: families, uplinks")]

use rustix::process::Signal;
use serde_json::{Value, json};
use sluice_e2e::Host;
use sluice_e2e::evidence::What;

use crate::address::{OUTSIDE, TENANTS};
use crate::answers::Answers;
use crate::failure::{Outcome, demand, wrong};
use crate::gateway::{GATEWAY, NS, eip, fip, gateway};
use crate::runner::Scenario;
use crate::stage::{Stage, text};
use crate::traffic::{outside, tenant as tenant_host};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_moved_eip_answers_in_one_place_at_a_time",
        secs: 120,
        full: false,
        run: moved,
    },
    Scenario {
        name: "a_move_waits_for_a_gateway_that_is_stopped",
        secs: 150,
        full: false,
        run: stopped,
    },
];

/// The gateway that an EIP moves to, and its addresses on the LAN.
const SECOND: (&str, [&str; 2]) = ("second", ["10.244.0.253", "fd00:10:244::fd"]);
/// The tenant behind the EIP that moves.
const SERVER: (&str, (&str, &str)) = TENANTS[1];

/// Two gateways side by side; `web` with its FIP on the first.
fn two_gateways(stage: &Stage) -> Outcome<[String; 2]> {
    stage.with_gateway()?;
    let mut second = gateway(GATEWAY.0, SECOND.0, "external");
    second["spec"]["lan"]["addresses"] =
        json!([format!("{}/16", SECOND.1[0]), format!("{}/64", SECOND.1[1])]);
    stage.create_all(&[second, eip(NS, "web"), fip(NS, "web", "web", SERVER.1)])?;
    stage.wait_seen("NATGateway", GATEWAY.0, SECOND.0)?;
    stage.wait_seen("FIP", NS, "web")?;
    stage.wait_all_ready(40.0)?;
    stage.probe("EIP", NS, "web")?;
    stage.probe("FIP", NS, "web")?;
    stage.probes_pass(5.0)?;
    stage.addresses(NS, "web")
}

/// Nothing is promised of the EIP's traffic until its next True.
fn retire(stage: &Stage) {
    stage.retire(&[format!("EIP/{NS}/web"), format!("FIP/{NS}/web")]);
}

fn move_to(stage: &Stage, gateway: &str) -> Outcome {
    retire(stage);
    let patch = json!({"spec": {"gateway": {"name": gateway}}});
    stage.patch("EIP", NS, "web", &patch)
}

fn holder_of(object: &Value) -> String {
    text(object, "/status/holder/instance")
}

fn ready_at_another(stage: &Stage, before: &str, secs: f64) -> Outcome {
    stage.wait_for("readiness at the other gateway", secs, || {
        let web = stage.live("EIP", NS, "web").unwrap_or_default();
        let holder = holder_of(&web);
        if holder.is_empty() || holder == before {
            Err(format!("the holder is {holder:?}"))
        } else {
            Ok(())
        }
    })?;
    stage.wait_ready(&[("EIP", NS, "web"), ("FIP", NS, "web")], 10.0)
}

/// The server's way back to the client goes by the second gateway; as it was when
/// this is dropped. It is there before the EIP's True, which promises answers.
struct Way<'a>(&'a Stage);

impl<'a> Way<'a> {
    fn by_second(stage: &'a Stage) -> Outcome<Self> {
        let way = Self(stage);
        for (client, via) in [OUTSIDE.0, OUTSIDE.1].into_iter().zip(SECOND.1) {
            let argv = ["ip", "route", "replace", client, "via", via];
            let done = stage.lab.exec(&tenant_host(SERVER.0), &argv)?;
            demand(done.status.success(), || {
                format!("{argv:?}: {}", String::from_utf8_lossy(&done.stderr))
            })?;
        }
        Ok(way)
    }
}

impl Drop for Way<'_> {
    fn drop(&mut self) {
        for client in [OUTSIDE.0, OUTSIDE.1] {
            let argv = ["ip", "route", "del", client];
            let _ = self.0.lab.exec(&tenant_host(SERVER.0), &argv);
        }
    }
}

fn listen(stage: &Stage, addresses: &[String; 2]) -> Outcome<Answers> {
    let answers = Answers::listen(stage, &addresses.each_ref().map(String::as_str))?;
    answers.wait(stage, addresses)?;
    Ok(answers)
}

/// Demands that first one MAC answered for each address, then another, never both.
fn one_after_the_other(stage: &Stage, answers: &Answers, addresses: &[String; 2]) -> Outcome {
    for address in addresses {
        stage.wait(&format!("another answer for {address}"), 10.0, || {
            answers.places(address).len() > 1
        })?;
        let places = answers.places(address);
        demand(places.len() == 2, || {
            format!("{address} was answered for by {places:?}, wanted one MAC and then another")
        })?;
    }
    Ok(())
}

fn moved(stage: &mut Stage) -> Outcome {
    let addresses = two_gateways(stage)?;
    let before = holder_of(&stage.live("EIP", NS, "web").unwrap_or_default());
    let answers = listen(stage, &addresses)?;
    stage.pause(1.0);
    move_to(stage, SECOND.0)?;
    let way = Way::by_second(stage)?;
    ready_at_another(stage, &before, 20.0)?;
    let client = outside("client");
    for (address, source) in addresses.iter().zip([OUTSIDE.0, OUTSIDE.1]) {
        stage.expect_http(&client, address, 80, SERVER.0, source)?;
    }
    stage.probes_pass(5.0)?;
    stage.pause(2.0);
    demand(stage.addresses(NS, "web")? == addresses, || {
        "the EIP lost its addresses on the way".to_owned()
    })?;
    one_after_the_other(stage, &answers, &addresses)?;
    not_ready_between(stage, &before)?;
    // And back again.
    drop(answers);
    let now = holder_of(&stage.live("EIP", NS, "web").unwrap_or_default());
    let answers = listen(stage, &addresses)?;
    move_to(stage, GATEWAY.1)?;
    drop(way);
    ready_at_another(stage, &now, 20.0)?;
    for (address, source) in addresses.iter().zip([OUTSIDE.0, OUTSIDE.1]) {
        stage.expect_http(&client, address, 80, SERVER.0, source)?;
    }
    stage.pause(1.0);
    one_after_the_other(stage, &answers, &addresses)
}

/// Between the True of the old holder and that of the new one the API showed a False.
fn not_ready_between(stage: &Stage, before: &str) -> Outcome {
    let mut left = false;
    for record in stage.history.records() {
        let What::Object { kind, object, .. } = &record.what else {
            continue;
        };
        if kind != "EIP" || text(object, "/metadata/name") != "web" {
            continue;
        }
        let holder = holder_of(object);
        if holder.is_empty() {
            left = true;
        } else if holder == before {
            left = false;
        } else {
            return demand(left, || {
                "Ready went from one holder to the other".to_owned()
            });
        }
    }
    wrong("no other holder was seen")
}

fn stopped(stage: &mut Stage) -> Outcome {
    let addresses = two_gateways(stage)?;
    let before = holder_of(&stage.live("EIP", NS, "web").unwrap_or_default());
    let old = stage.gateway_host()?;
    let answers = listen(stage, &addresses)?;
    stage.lab.signal(&old, Signal::STOP)?;
    stage.note(format!("{old} is stopped"));
    let waited = (|| -> Outcome<Way<'_>> {
        move_to(stage, SECOND.0)?;
        let way = Way::by_second(stage)?;
        stage.wait("a Ready that is not True", 5.0, || {
            stage.condition("EIP", NS, "web", "Ready").0 == "False"
        })?;
        // Longer than leases last.
        stage.pause(18.0);
        nothing_has_moved(stage, &answers, &addresses)?;
        Ok(way)
    })();
    stage.lab.signal(&old, Signal::CONT)?;
    stage.note(format!("{old} goes on"));
    let _way = waited?;
    ready_at_another(stage, &before, 30.0)?;
    for (address, source) in addresses.iter().zip([OUTSIDE.0, OUTSIDE.1]) {
        stage.expect_http(&outside("client"), address, 80, SERVER.0, source)?;
    }
    one_after_the_other(stage, &answers, &addresses)?;
    // The server's way back is about to be the old one's again.
    retire(stage);
    Ok(())
}

/// The claims are the old gateway's, its kernel answers, and the new one's has nothing.
fn nothing_has_moved(stage: &Stage, answers: &Answers, addresses: &[String; 2]) -> Outcome {
    let uid = |name| {
        let gateway = stage
            .live("NATGateway", GATEWAY.0, name)
            .unwrap_or_default();
        text(&gateway, "/metadata/uid")
    };
    for claim in stage.history.live_of("AddressClaim") {
        if text(&claim, "/spec/owner/name") == "web" && text(&claim, "/spec/owner/kind") == "EIP" {
            demand(text(&claim, "/spec/gatewayUID") == uid(GATEWAY.1), || {
                format!("a claim has moved: {claim}")
            })?;
        }
    }
    let web = stage.live("EIP", NS, "web").unwrap_or_default();
    demand(web.to_string().contains("NATGateway net/egress"), || {
        format!("the status does not say for whom it waits: {web}")
    })?;
    let second = second_host(stage)?;
    let script = "ip route show table local; ip -6 route show table local";
    let output = stage.lab.exec(&second, &["sh", "-c", script])?;
    let routes = String::from_utf8_lossy(&output.stdout).into_owned();
    for address in addresses {
        demand(!routes.contains(address.as_str()), || {
            format!("{second} has {address} already")
        })?;
        let places = answers.places(address);
        demand(places.len() == 1, || {
            format!("{address} was answered for by {places:?}, wanted the old gateway alone")
        })?;
    }
    Ok(())
}

fn second_host(stage: &Stage) -> Outcome<Host> {
    Ok(Host::pod(GATEWAY.0, &stage.newest_pod(SECOND.0)?.0))
}
