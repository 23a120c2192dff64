//! Objects that come and go at awkward moments.

use serde_json::{Value, json};
use sluice_e2e::evidence::Mark;

use crate::address::{OUTSIDE, TENANTS};
use crate::failure::{Failure, Outcome, demand};
use crate::gateway::{GATEWAY, NS, dnat, eip, fip, gateway, pool, snat, tenant};
use crate::runner::Scenario;
use crate::stage::{Stage, text};
use crate::traffic::{outside, tenant as tenant_host};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "an_eip_deleted_while_it_is_being_created_leaves_nothing",
        secs: 90,
        full: false,
        run: deleted_early,
    },
    Scenario {
        name: "an_eip_made_anew_under_its_name_gets_its_address_back",
        secs: 60,
        full: false,
        run: made_anew,
    },
    Scenario {
        name: "foreground_deletion_of_a_gateway_in_use_stops_no_traffic",
        secs: 60,
        full: false,
        run: foreground,
    },
    Scenario {
        name: "eips_survive_the_deletion_of_their_gateways_namespace",
        secs: 90,
        full: false,
        run: gateway_namespace,
    },
    Scenario {
        name: "all_namespaces_deleted_at_once_leave_nothing",
        secs: 120,
        full: false,
        run: all_namespaces,
    },
    Scenario {
        name: "a_changed_target_ends_old_connections_and_takes_new_ones",
        secs: 60,
        full: false,
        run: target_changed,
    },
    Scenario {
        name: "a_fip_waits_for_its_eip",
        secs: 60,
        full: false,
        run: eip_later,
    },
    Scenario {
        name: "deletion_in_random_order_leaves_nothing",
        secs: 120,
        full: false,
        run: random_order,
    },
    Scenario {
        name: "restarts_of_operator_and_agent_write_nothing",
        secs: 120,
        full: false,
        run: restarts,
    },
];

fn deleted_early(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    for round in 0..10 {
        let name = format!("brief-{round}");
        stage.create_all(&[eip(NS, &name), fip(NS, &name, &name, tenant(round).1)])?;
        let ms = stage.below(150);
        stage.pause(f64::from(u32::try_from(ms).unwrap_or(0)) / 1000.0);
        stage.delete_all(&[
            ("EIP".into(), NS.into(), name.clone()),
            ("FIP".into(), NS.into(), name),
        ])?;
    }
    stage.wait_for("the end of all EIPs, FIPs and claims", 30.0, || {
        let left: usize = ["EIP", "FIP"]
            .iter()
            .map(|kind| stage.history.live_of(kind).len())
            .sum();
        let claims = eip_claims(stage);
        if left + claims == 0 {
            Ok(())
        } else {
            Err(format!("{left} objects and {claims} claims are left"))
        }
    })?;
    kernel_is_empty(stage)?;
    stage.create(&eip(NS, "after"))?;
    stage.wait_seen("EIP", NS, "after")?;
    stage.wait_ready(&[("EIP", NS, "after")], 10.0)
}

fn made_anew(stage: &mut Stage) -> Outcome {
    let mut slow = pool("external");
    if let Some(cooldown) = slow.pointer_mut("/spec/cooldown") {
        *cooldown = json!("60s");
    }
    stage.create(&slow)?;
    stage.create(&gateway(GATEWAY.0, GATEWAY.1, "external"))?;
    stage.create(&eip(NS, "web"))?;
    stage.wait_seen("EIP", NS, "web")?;
    stage.wait_ready(&[("EIP", NS, "web")], 30.0)?;
    let before = stage.addresses(NS, "web")?;
    for _ in 0..3 {
        stage.delete("EIP", NS, "web")?;
        stage.wait_for("creation under the old name", 20.0, || {
            stage
                .create(&eip(NS, "web"))
                .map(drop)
                .map_err(|failure| failure.to_string())
        })?;
        stage.wait_ready(&[("EIP", NS, "web")], 20.0)?;
        let after = stage.addresses(NS, "web")?;
        demand(before == after, || {
            format!("it had {before:?} and has {after:?} now")
        })?;
    }
    stage.delete("EIP", NS, "web")?;
    stage.wait_gone("EIP", NS, "web", 20.0)?;
    stage.create(&eip(NS, "other"))?;
    stage.wait_seen("EIP", NS, "other")?;
    stage.wait_ready(&[("EIP", NS, "other")], 20.0)?;
    let other = stage.addresses(NS, "other")?;
    demand(other[0] != before[0] && other[1] != before[1], || {
        format!("another EIP got {other:?} within the cooldown")
    })?;
    // The clean-up would have to wait for the whole cooldown.
    stage.patch(
        "EIPPool",
        "",
        "external",
        &json!({"spec": {"cooldown": "1s"}}),
    )
}

fn foreground(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(3)?;
    let (ns, name) = GATEWAY;
    let refused = stage.kubectl(
        &[
            "-n",
            ns,
            "delete",
            "natgateway",
            name,
            "--cascade=foreground",
            "--wait=false",
        ],
        None,
    );
    stage.note(format!("deletion in the foreground: {refused:?}"));
    stage.pause(4.0);
    let pod = stage.gateway_pod()?;
    stage.wait_ready(
        &[
            ("EIP", NS, "eip-0"),
            ("EIP", NS, "eip-1"),
            ("FIP", NS, "fip-0"),
        ],
        5.0,
    )?;
    stage.probes_pass(3.0)?;
    stage.note(format!("{} still serves", pod.0));
    stage.retire(&["EIP/*".into(), "FIP/*".into()]);
    let mut all = Vec::new();
    for n in 0..3 {
        all.push(("FIP".to_owned(), NS.to_owned(), format!("fip-{n}")));
        all.push(("EIP".to_owned(), NS.to_owned(), format!("eip-{n}")));
    }
    stage.delete_all(&all)?;
    stage.delete("NATGateway", ns, name)?;
    stage.wait_gone("NATGateway", ns, name, 30.0)
}

fn gateway_namespace(stage: &mut Stage) -> Outcome {
    let (ns, name) = ("e2e-gateways", "g");
    stage.create(&pool("external"))?;
    let make = |stage: &Stage| -> Outcome {
        stage.wait_for("a namespace for the gateway", 30.0, || {
            stage.namespace(ns).map_err(|failure| failure.to_string())
        })?;
        stage.create(&gateway(ns, name, "external"))?;
        stage.wait_seen("NATGateway", ns, name)
    };
    make(stage)?;
    let mut web = eip(NS, "web");
    if let Some(reference) = web.pointer_mut("/spec/gateway") {
        *reference = json!({"namespace": ns, "name": name});
    }
    stage.create_all(&[web, fip(NS, "web", "web", TENANTS[0].1)])?;
    stage.wait_seen("FIP", NS, "web")?;
    stage.wait_all_ready(30.0)?;
    stage.probe("EIP", NS, "web")?;
    stage.probe("FIP", NS, "web")?;
    stage.probes_pass(5.0)?;
    let before = stage.addresses(NS, "web")?;

    stage.retire(&["EIP/*".into(), "FIP/*".into()]);
    stage.fault(
        sluice_e2e::evidence::Harm::Holder,
        "the gateway's namespace goes",
    );
    stage.delete("Namespace", "", ns)?;
    stage.wait_condition(
        ("EIP", NS, "web"),
        "Accepted",
        ("False", "GatewayNotFound"),
        40.0,
    )?;
    stage.wait_for("the end of the namespace", 40.0, || {
        match stage.get("Namespace", "", ns) {
            Ok(None) => Ok(()),
            Ok(Some(found)) => Err(found
                .pointer("/status/conditions")
                .cloned()
                .unwrap_or_default()
                .to_string()),
            Err(failure) => Err(failure.to_string()),
        }
    })?;
    demand(eip_claims(stage) == 2, || {
        format!(
            "{} claims are left, wanted the EIP's two",
            eip_claims(stage)
        )
    })?;

    make(stage)?;
    stage.wait_all_ready(30.0)?;
    let after = stage.addresses(NS, "web")?;
    demand(before == after, || {
        format!("it had {before:?} and has {after:?} now")
    })?;
    stage.probes_pass(5.0)
}

fn all_namespaces(stage: &mut Stage) -> Outcome {
    let namespaces = ["e2e-one", "e2e-two", "e2e-three"];
    stage.create(&pool("external"))?;
    for namespace in namespaces {
        stage.namespace(namespace)?;
    }
    stage.create(&gateway("e2e-one", "g", "external"))?;
    let mut objects = Vec::new();
    for namespace in namespaces {
        for n in 0..3 {
            let name = format!("e-{n}");
            let mut one = eip(namespace, &name);
            if let Some(reference) = one.pointer_mut("/spec/gateway") {
                *reference = json!({"namespace": "e2e-one", "name": "g"});
            }
            objects.extend([one, fip(namespace, &name, &name, tenant(n).1)]);
        }
    }
    stage.create_all(&objects)?;
    stage.wait("sight of all objects", 5.0, || {
        stage.history.live_of("FIP").len() == 9
    })?;
    stage.wait_all_ready(30.0)?;
    stage.retire(&["EIP/*".into(), "FIP/*".into()]);
    stage.fault(sluice_e2e::evidence::Harm::Holder, "all namespaces go");
    let all: Vec<_> = namespaces
        .iter()
        .map(|name| ("Namespace".to_owned(), String::new(), (*name).to_owned()))
        .collect();
    stage.delete_all(&all)?;
    stage.wait_for("the end of all namespaces", 60.0, || {
        let left = stage
            .list("Namespace", "", "e2e.sluice.dev/scenario=true")
            .map_err(|failure| failure.to_string())?;
        match left.first() {
            None => Ok(()),
            Some(first) => Err(format!(
                "{}: {}",
                text(first, "/metadata/name"),
                first
                    .pointer("/status/conditions")
                    .cloned()
                    .unwrap_or_default()
            )),
        }
    })?;
    stage.wait("the end of all claims", 20.0, || {
        stage.history.live_of("AddressClaim").is_empty()
    })
}

fn target_changed(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let (web, web2) = (TENANTS[0].1, TENANTS[1].1);
    stage.create_all(&[eip(NS, "web"), fip(NS, "web", "web", web)])?;
    stage.wait_seen("FIP", NS, "web")?;
    stage.wait_all_ready(20.0)?;
    let both = stage.addresses(NS, "web")?;
    let client = outside("client");
    let mut held = Vec::new();
    for address in &both {
        held.push(stage.hold(&client, address)?);
    }
    let outward = stage.hold(&tenant_host("web"), OUTSIDE.0)?;
    stage.patch(
        "FIP",
        NS,
        "web",
        &json!({"spec": {"target": {"ips": [web2.0, web2.1]}}}),
    )?;
    stage.wait("the new generation", 5.0, || {
        stage
            .live("FIP", NS, "web")
            .is_some_and(|fip| fip.pointer("/metadata/generation") == Some(&2.into()))
    })?;
    stage.wait_ready(&[("FIP", NS, "web")], 10.0)?;
    for (address, source) in both.iter().zip([OUTSIDE.0, OUTSIDE.1]) {
        let seen = stage.http(&client, address, 80)?;
        demand(seen.pod == "web2" && seen.source == source, || {
            format!("once Ready, {address} answers {seen:?}")
        })?;
    }
    for (held, address) in held.iter_mut().zip(&both) {
        stage.wait(
            &format!("the end of the old connection to {address}"),
            6.0,
            || held.ended(),
        )?;
        demand(held.pod() == "web", || {
            format!("the old connection to {address} went on to {}", held.pod())
        })?;
    }
    drop(outward);
    for (family, address) in both.iter().enumerate() {
        let client = if family == 0 { OUTSIDE.0 } else { OUTSIDE.1 };
        stage.expect_http(&tenant_host("web2"), client, 80, "client", address)?;
    }
    Ok(())
}

fn eip_later(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.create(&fip(NS, "web", "web", TENANTS[0].1))?;
    stage.wait_seen("FIP", NS, "web")?;
    stage.wait_condition(
        ("FIP", NS, "web"),
        "Accepted",
        ("False", "EIPNotFound"),
        10.0,
    )?;
    stage.wait_condition(("FIP", NS, "web"), "Ready", ("False", "NotAccepted"), 5.0)?;
    stage.create(&eip(NS, "web"))?;
    stage.wait_seen("EIP", NS, "web")?;
    stage.wait_all_ready(10.0)?;
    stage.probe("FIP", NS, "web")?;
    stage.probe("EIP", NS, "web")?;
    stage.probes_pass(3.0)
}

fn random_order(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let mut objects: Vec<Value> = Vec::new();
    for n in 0..8 {
        objects.push(eip(NS, &format!("e-{n}")));
    }
    for n in 0..4 {
        objects.push(fip(NS, &format!("f-{n}"), &format!("e-{n}"), tenant(n).1));
        objects.push(dnat(
            NS,
            &format!("d-{n}"),
            &format!("e-{}", 4 + n % 2),
            json!(7000 + n),
            tenant(n).1,
            json!(80),
        ));
    }
    objects.push(snat(
        NS,
        "s-0",
        "e-6",
        &["10.244.0.0/24", "fd00:10:244::/64"],
    ));
    objects.push(snat(
        NS,
        "s-1",
        "e-7",
        &["10.244.0.8/32", "fd00:10:244::8/128"],
    ));
    stage.create_all(&objects)?;
    stage.wait("sight of all objects", 5.0, || {
        stage.history.live_of("SNAT").len() == 2
    })?;
    stage.wait_all_ready(20.0)?;
    for n in 0..8 {
        stage.probe("EIP", NS, &format!("e-{n}"))?;
    }
    stage.probes_pass(5.0)?;

    stage.retire(&["EIP/*".into(), "FIP/*".into()]);
    let mut order: Vec<_> = objects
        .iter()
        .map(|o| (text(o, "/kind"), NS.to_owned(), text(o, "/metadata/name")))
        .collect();
    stage.shuffle(&mut order);
    for one in order.chunks(3) {
        stage.delete_all(one)?;
    }
    stage.wait_for("the end of all EIPs, rules and claims", 30.0, || {
        let kinds = ["EIP", "FIP", "DNAT", "SNAT"];
        let left: usize = kinds
            .iter()
            .map(|kind| stage.history.live_of(kind).len())
            .sum();
        let claims = eip_claims(stage);
        if left + claims == 0 {
            Ok(())
        } else {
            Err(format!("{left} objects and {claims} claims are left"))
        }
    })?;
    kernel_is_empty(stage)
}

fn restarts(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(5)?;
    stage.pause(3.0);
    stage.history.mark(Mark::IdleFrom);
    let since = stage.history.now_us();
    stage.kill_operator()?;
    stage.wait_operator(since, 60.0)?;
    let host = stage.gateway_host()?;
    stage.lab.signal(&host, rustix::process::Signal::KILL)?;
    stage.wait("the agent's end", 5.0, || agent_pid(stage, &host).is_none())?;
    stage.wait("the agent's restart", 30.0, || {
        agent_pid(stage, &host).is_some()
    })?;
    stage.pause(6.0);
    stage.history.mark(Mark::IdleTo);
    stage.probes_pass(3.0)?;
    stage.wait_all_ready(3.0)
}

fn agent_pid(stage: &Stage, host: &sluice_e2e::Host) -> Option<i32> {
    let all = host.processes(stage.lab.paths(), stage.lab.state()).ok()?;
    all.iter()
        .find(|process| !process.pause)
        .map(|process| process.pid)
}

/// How many addresses EIPs have claimed.
fn eip_claims(stage: &Stage) -> usize {
    stage
        .history
        .live_of("AddressClaim")
        .iter()
        .filter(|claim| text(claim, "/spec/owner/kind") == "EIP")
        .count()
}

/// Nothing of any EIP of the pool is in the gateway's kernel.
pub fn kernel_is_empty(stage: &Stage) -> Outcome {
    let script = "ip route show table all; ip -6 route show table all; ip -6 neigh show proxy; nft list ruleset";
    stage.wait_for("an empty kernel", 10.0, || {
        let look = || -> Result<String, Failure> {
            let output = stage
                .lab
                .exec(&stage.gateway_host()?, &["sh", "-c", script])?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let state = look().map_err(|failure| failure.to_string())?;
        let lines = state.lines().filter(|line| {
            (200..=250).any(|last| {
                line.split(&[' ', '/', ','][..])
                    .any(|word| word == format!("10.155.30.{last}"))
            }) || line.contains("2001:db8:1::e:")
        });
        match lines.map(str::trim).next() {
            None => Ok(()),
            Some(line) => Err(format!("the kernel still has: {line}")),
        }
    })
}
