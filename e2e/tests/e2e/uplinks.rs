//! A gateway with two uplinks, and SNATs whose EIPs stand on both.

#![allow(clippy::indexing_slicing, reason = "lists of two: families, uplinks")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice_e2e::Host;
use sluice_e2e::evidence::Harm;

use crate::address::{FAR, TENANTS};
use crate::failure::{Outcome, demand, wrong};
use crate::gateway::{GATEWAY, NS, VERSION, eip, fip, gateway, pool};
use crate::runner::Scenario;
use crate::stage::Stage;
use crate::traffic::{outside, tenant as tenant_host};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "uplinks_answer_what_came_in_by_them",
        secs: 90,
        full: false,
        run: both_ways,
    },
    Scenario {
        name: "uplinks_of_a_pool_share_the_sources_and_stick_to_them",
        secs: 90,
        full: false,
        run: shared,
    },
    Scenario {
        name: "an_uplink_that_is_down_stops_its_own_eips_only",
        secs: 120,
        full: false,
        run: one_down,
    },
    Scenario {
        name: "an_uplink_that_is_added_replaces_the_pod_and_serves",
        secs: 120,
        full: false,
        run: added,
    },
];

/// The router's interfaces on the first and the second outside segment.
const SEGMENTS: [&str; 2] = ["eth0", "eth2"];

/// The pool of the second outside segment.
fn second_pool() -> Value {
    let mut second = pool("second");
    second["spec"]["network"] = json!("second");
    second["spec"]["subnets"] = json!([
        {"cidr": "10.155.40.0/24", "gateway": "10.155.40.1", "ranges": ["10.155.40.200-10.155.40.250"]},
        {"cidr": "2001:db8:3::/64", "gateway": "2001:db8:3::1", "ranges": ["2001:db8:3::e:0/112"]},
    ]);
    second
}

/// The usual gateway with a second uplink.
fn with_second_uplink() -> Value {
    let mut both = gateway(GATEWAY.0, GATEWAY.1, "external");
    if let Some(uplinks) = both["spec"]["uplinks"].as_array_mut() {
        uplinks.push(json!({
            "name": "second", "pools": ["second"], "networkAttachment": "net/external2", "interface": "eth2",
        }));
    }
    both
}

/// A gateway with two uplinks, and `a` and `b` on one each.
fn two_uplinks(stage: &Stage) -> Outcome {
    stage.create_all(&[pool("external"), second_pool(), with_second_uplink()])?;
    stage.create_all(&[
        placed("a", "external", ["10.155.30.211", "2001:db8:1::e:11"]),
        placed("b", "second", ["10.155.40.211", "2001:db8:3::e:11"]),
    ])?;
    for name in ["a", "b"] {
        stage.wait_seen("EIP", NS, name)?;
    }
    stage.wait_all_ready(40.0)
}

fn placed(name: &str, pool: &str, addresses: [&str; 2]) -> Value {
    let mut eip = eip(NS, name);
    eip["spec"]["pool"] = json!(pool);
    eip["spec"]["addresses"] = json!(addresses);
    eip
}

/// Counts what the router forwards, by interface and source; ends when dropped.
struct Arrivals<'a>(&'a Stage);

impl<'a> Arrivals<'a> {
    fn count(stage: &'a Stage) -> Outcome<Self> {
        let arrivals = Self(stage);
        arrivals.nft("add table inet arrivals")?;
        for (family, kind) in [("ip", "ipv4_addr"), ("ip6", "ipv6_addr")] {
            arrivals.nft(&format!(
                "add set inet arrivals seen_{family} {{ type ifname . {kind} ; flags dynamic ; size 65535 ; }}"
            ))?;
        }
        arrivals
            .nft("add chain inet arrivals packets { type filter hook forward priority 0 ; }")?;
        for family in ["ip", "ip6"] {
            arrivals.nft(&format!(
                "add rule inet arrivals packets update @seen_{family} {{ iifname . {family} saddr }}"
            ))?;
        }
        Ok(arrivals)
    }

    fn nft(&self, command: &str) -> Outcome<String> {
        let router: Host = outside("router");
        let output = self.0.lab.exec(&router, &["nft", command])?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            wrong(format!("nft {command}: {words}"))
        }
    }

    /// Demands that all of an address came by this interface, and that some did.
    fn only_by(&self, address: &str, interface: &str) -> Outcome {
        let family = if address.contains(':') { "ip6" } else { "ip" };
        let list = self.nft(&format!("list set inet arrivals seen_{family}"))?;
        let flat = list.replace(['\n', '\t'], " ");
        let by: Vec<String> = flat
            .split(['{', ',', '}'])
            .filter_map(|element| {
                let (by, from) = element.trim().split_once(" . ")?;
                (from == address).then(|| by.trim_matches('"').to_owned())
            })
            .collect();
        demand(by == [interface], || {
            format!("packets from {address} came to the router by {by:?}, wanted {interface}")
        })
    }
}

impl Drop for Arrivals<'_> {
    fn drop(&mut self) {
        let _ = self.nft("delete table inet arrivals");
    }
}

fn both_ways(stage: &mut Stage) -> Outcome {
    two_uplinks(stage)?;
    let stage = &*stage;
    let names = [TENANTS[0], TENANTS[1]];
    stage.create_all(&[fip(NS, "a", "a", names[0].1), fip(NS, "b", "b", names[1].1)])?;
    for name in ["a", "b"] {
        stage.wait_seen("FIP", NS, name)?;
    }
    stage.wait_all_ready(20.0)?;
    for name in ["a", "b"] {
        stage.probe("EIP", NS, name)?;
        stage.probe("FIP", NS, name)?;
    }
    stage.probes_pass(5.0)?;
    let arrivals = Arrivals::count(stage)?;
    let far = outside("client2");
    let eips = [stage.addresses(NS, "a")?, stage.addresses(NS, "b")?];
    for (family, client) in [FAR.0, FAR.1].into_iter().enumerate() {
        // One client reaches both, each by its own way, and is answered by the same.
        for round in 0..3 {
            for ((eip, (pod, _)), segment) in eips.iter().zip(names).zip(SEGMENTS) {
                stage.expect_http(&far, &eip[family], 80, pod, client)?;
                arrivals.only_by(&eip[family], segment)?;
                stage.note(format!("round {round}: {} by {segment}", eip[family]));
            }
        }
        // What they begin themselves leaves by the uplink of their EIP.
        for ((eip, (pod, _)), segment) in eips.iter().zip(names).zip(SEGMENTS) {
            stage.expect_http(&tenant_host(pod), client, 80, "client2", &eip[family])?;
            arrivals.only_by(&eip[family], segment)?;
        }
        // Inside, across the uplinks and to themselves.
        for (from, (pod, _)) in names.into_iter().enumerate() {
            for (to, (server, _)) in names.into_iter().enumerate() {
                let (shown, eip) = (&eips[from][family], &eips[to][family]);
                stage.expect_http(&tenant_host(pod), eip, 80, server, shown)?;
            }
        }
    }
    Ok(())
}

fn shared(stage: &mut Stage) -> Outcome {
    two_uplinks(stage)?;
    let stage = &*stage;
    stage.create(&json!({
        "apiVersion": VERSION, "kind": "SNAT", "metadata": {"namespace": NS, "name": "out"},
        "spec": {"eips": [{"name": "a"}, {"name": "b"}], "sources": ["10.244.0.0/16", "fd00:10:244::/64"]},
    }))?;
    stage.wait_seen("SNAT", NS, "out")?;
    stage.wait_all_ready(20.0)?;
    let arrivals = Arrivals::count(stage)?;
    let eips = [stage.addresses(NS, "a")?, stage.addresses(NS, "b")?];
    let mut used: BTreeMap<String, u32> = BTreeMap::new();
    for (family, client) in [FAR.0, FAR.1].into_iter().enumerate() {
        for (pod, _) in TENANTS {
            let host = tenant_host(pod);
            let first = stage.http(&host, client, 80)?.source;
            let member = eips.iter().position(|eip| eip[family] == first);
            let Some(member) = member else {
                return wrong(format!(
                    "{pod} leaves with {first}, which is no EIP of its SNAT"
                ));
            };
            for _ in 0..4 {
                let again = stage.http(&host, client, 80)?.source;
                demand(again == first, || {
                    format!("{pod} left with {first}, and then with {again}")
                })?;
            }
            arrivals.only_by(&first, SEGMENTS[member])?;
            *used.entry(first).or_default() += 1;
        }
    }
    demand(used.len() > 2, || {
        format!("only {used:?} were used of two EIPs in two families")
    })?;
    // It holds both.
    stage.retire(&["EIP/*".into()]);
    for name in ["a", "b"] {
        stage.delete("EIP", NS, name)?;
        stage.wait_condition(
            ("EIP", NS, name),
            "Accepted",
            ("True", "DeletionBlocked"),
            5.0,
        )?;
    }
    stage.delete("SNAT", NS, "out")?;
    stage.wait("the end of both EIPs", 20.0, || {
        stage.history.live_of("EIP").is_empty()
    })
}

fn one_down(stage: &mut Stage) -> Outcome {
    two_uplinks(stage)?;
    let (web, web2) = (TENANTS[0], TENANTS[1]);
    stage.create_all(&[fip(NS, "a", "a", web.1), fip(NS, "b", "b", web2.1)])?;
    for name in ["a", "b"] {
        stage.wait_seen("FIP", NS, name)?;
    }
    stage.wait_all_ready(20.0)?;
    stage.probe("EIP", NS, "a")?;
    stage.probe("FIP", NS, "a")?;
    stage.probes_pass(5.0)?;
    let host = stage.gateway_host()?;
    // Nothing is broken for `a`: its probes go on, and must pass.
    stage.retire(&[format!("EIP/{NS}/b"), format!("FIP/{NS}/b")]);
    let set = |stage: &Stage, state: &str| {
        let argv = ["ip", "link", "set", "eth2", state];
        stage.lab.exec(&host, &argv).map(drop)
    };
    set(stage, "down")?;
    let told = (|| -> Outcome {
        for kind in ["EIP", "FIP"] {
            stage.wait_condition((kind, NS, "b"), "Ready", ("False", "InterfaceDown"), 10.0)?;
        }
        let [first, _] = stage.addresses(NS, "a")?;
        let arrivals = Arrivals::count(stage)?;
        stage.expect_no_http(&tenant_host(web2.0), FAR.0, 80)?;
        stage.expect_http(&tenant_host(web.0), FAR.0, 80, "client2", &first)?;
        arrivals.only_by(&first, SEGMENTS[0])?;
        let objects = [("EIP", NS, "a"), ("FIP", NS, "a")];
        stage.wait_ready(&objects, 1.0)?;
        stage.probes_pass(3.0)
    })();
    stage.fault(Harm::Traffic, "the second uplink comes back");
    set(stage, "up")?;
    told?;
    stage.wait_all_ready(15.0)?;
    let both = stage.addresses(NS, "b")?;
    for (client, eip) in [FAR.0, FAR.1].into_iter().zip(&both) {
        stage.expect_http(&tenant_host(web2.0), client, 80, "client2", eip)?;
        stage.expect_http(&outside("client2"), eip, 80, web2.0, client)?;
    }
    Ok(())
}

fn added(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.with_pairs(1)?;
    stage.create(&second_pool())?;
    let (before, (pod, _)) = (stage.holder(), stage.gateway_pod()?);
    stage.fault(Harm::Holder, "the pod is replaced");
    let uplinks = with_second_uplink()["spec"]["uplinks"].clone();
    let patch = json!({"spec": {"uplinks": uplinks}});
    stage.patch("NATGateway", GATEWAY.0, GATEWAY.1, &patch)?;
    stage.wait_recovered(&before, 60.0)?;
    let (now, _) = stage.gateway_pod()?;
    demand(now != pod, || format!("the pod is {pod} still"))?;
    let (server, ips) = TENANTS[1];
    stage.create_all(&[
        placed("b", "second", ["10.155.40.211", "2001:db8:3::e:11"]),
        fip(NS, "b", "b", ips),
    ])?;
    stage.wait_seen("FIP", NS, "b")?;
    stage.wait_all_ready(20.0)?;
    let arrivals = Arrivals::count(stage)?;
    for (eip, client) in stage.addresses(NS, "b")?.iter().zip([FAR.0, FAR.1]) {
        stage.expect_http(&outside("client2"), eip, 80, server, client)?;
        arrivals.only_by(eip, SEGMENTS[1])?;
    }
    Ok(())
}
