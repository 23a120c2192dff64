//! Gateways of an OVN network on a lab: their pods on its nodes, databases that they reach by TCP
//! or TLS, and packets from the lab's outside hosts through real chassis.
//!
//! Needs root, the images, and what `scripts/ovn.sh` unpacks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_e2e::command::run_with_input;
use sluice_e2e::echo::Seen;
use sluice_e2e::ovn::{OvnOptions, Servers};
use sluice_e2e::{Families, Host, Lab, UpOptions};

fn up(what: &str, families: Families, ovn: OvnOptions) -> Lab {
    let options = UpOptions {
        name: format!("{what}{}", std::process::id()),
        nodes: 1,
        tenants: false,
        families,
        ovn: Some(ovn),
        ..UpOptions::default()
    };
    Lab::up(&options, &|text| println!("{what}: {text}")).unwrap()
}

/// A pool, a gateway of the lab's router, and an EIP with a FIP for each machine.
fn objects(families: Families, ovn: OvnOptions) -> Value {
    let object = |kind: &str, name: &str, spec: Value| {
        let metadata = match kind {
            "EIPPool" => json!({"name": name}),
            _ => json!({"name": name, "namespace": "net"}),
        };
        json!({"apiVersion": "sluice.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
    };
    let (northbound, southbound) = ovn.remotes(families);
    let mut spec = json!({
        "northbound": northbound, "southbound": southbound,
        "router": "r1", "gatewayPort": "r1-outside",
    });
    if ovn.tls {
        spec["tlsSecret"] = json!("ovn-tls");
    }
    let mut subnets = Vec::new();
    if families.v4() {
        subnets.push(json!({"cidr": "10.155.30.0/24", "gateway": "10.155.30.1",
            "ranges": ["10.155.30.200-10.155.30.250"]}));
    }
    if families.v6() {
        subnets.push(
            json!({"cidr": "2001:db8:1::/64", "gateway": "2001:db8:1::1",
            "ranges": ["2001:db8:1::e:0/112"]}),
        );
    }
    let mut items = vec![
        object(
            "EIPPool",
            "external",
            json!({"subnets": subnets, "cooldown": "1s"}),
        ),
        object(
            "NATGateway",
            "egress",
            json!({"dataplane": "OVN", "ovn": spec, "uplinks": [{"name": "external", "pools": ["external"]}]}),
        ),
    ];
    let policy = match families {
        Families::Dual => "RequireDualStack",
        _ => "SingleStack",
    };
    for n in 1..=3 {
        let name = format!("vm{n}");
        let eip = json!({"gateway": {"name": "egress"}, "ipFamilyPolicy": policy});
        items.push(object("EIP", &name, eip));
        let ips = families.of(&format!("10.244.0.1{n}"), &format!("fd00:10:244::1{n}"));
        let fip = json!({"eip": {"name": name}, "target": {"ips": ips}});
        items.push(object("FIP", &name, fip));
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn kubectl(lab: &Lab, args: &[&str]) -> String {
    let output = lab.kubectl().args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn apply(lab: &Lab, objects: &Value) {
    run_with_input(
        lab.kubectl().args(["apply", "-f", "-"]),
        &objects.to_string(),
    )
    .unwrap();
}

fn wait_ready(lab: &Lab) {
    let all = [
        "-n",
        "net",
        "wait",
        "--for=condition=Ready",
        "--timeout=120s",
    ];
    for kind in ["eip", "fip"] {
        kubectl(lab, &[&all[..], &[kind, "--all"]].concat());
    }
}

fn eip(lab: &Lab, name: &str) -> Value {
    let text = kubectl(lab, &["-n", "net", "get", "eip", name, "-o", "json"]);
    serde_json::from_str(&text).unwrap()
}

/// The addresses of an EIP, as they stand in a URL.
fn addresses(eip: &Value) -> Vec<String> {
    let status = &eip["status"];
    let v4 = status["ipv4"].as_str().map(str::to_owned);
    let v6 = status["ipv6"].as_str().map(|v6| format!("[{v6}]"));
    v4.into_iter().chain(v6).collect()
}

/// Who answers an address when asked from a host, and whom it saw.
fn get(lab: &Lab, from: &str, address: &str) -> Result<Seen, String> {
    let echo = env!("CARGO_BIN_EXE_sluice-echo");
    let url = format!("http://{address}/");
    let host: Host = from.parse().unwrap();
    let argv = [echo, "--get", &url, "--timeout-ms", "3000"];
    let output = lab.exec(&host, &argv).unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Every machine is reached by its EIP, and seen by it, in every family.
fn packets_pass(lab: &Lab) {
    for n in 1..=3 {
        let vm = format!("vm{n}");
        for address in addresses(&eip(lab, &vm)) {
            let bare = address.trim_matches(['[', ']']);
            let outside = match address.starts_with('[') {
                true => "[2001:db8:1::9]",
                false => "10.155.30.9",
            };
            let came = get(lab, "client", &address).unwrap();
            assert_eq!(came.pod, vm, "{address}");
            assert_eq!(came.source, outside.trim_matches(['[', ']']));
            let went = get(lab, &vm, outside).unwrap();
            assert_eq!((went.pod.as_str(), went.source.as_str()), ("client", bare));
        }
    }
}

/// The chassis by which an EIP says that it is Ready.
fn chassis(lab: &Lab, name: &str) -> Option<String> {
    let eip = eip(lab, name);
    let ready = eip["status"]["conditions"]
        .as_array()?
        .iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True");
    let chassis = eip["status"]["holder"]["hosting"]["chassis"].as_str()?;
    ready.then(|| chassis.to_owned())
}

fn eventually(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        sleep(Duration::from_millis(200));
    }
}

fn ovn(lab: &Lab, words: &str) -> String {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    lab.ovn(&words).unwrap().trim().to_owned()
}

#[test]
fn a_gateways_pod_serves_three_servers_by_tls_and_the_chassis_that_hosts() {
    let options = OvnOptions {
        servers: Servers::Three,
        tls: true,
    };
    let lab = up("ovntls", Families::Dual, options);
    apply(&lab, &objects(Families::Dual, options));
    wait_ready(&lab);
    packets_pass(&lab);

    // Whoever leads the northbound database is not who must live.
    let leader = ovn(&lab, "leader");
    ovn(&lab, &format!("kill-server {leader}"));
    kubectl(&lab, &["-n", "net", "delete", "fip", "vm3"]);
    assert_eq!(
        kubectl(&lab, &["-n", "net", "get", "fip", "-o", "name"])
            .lines()
            .count(),
        2
    );
    apply(&lab, &objects(Families::Dual, options));
    wait_ready(&lab);
    packets_pass(&lab);
    ovn(&lab, &format!("start-server {leader}"));

    // The chassis that hosts dies; the next one is named, and serves.
    let first = chassis(&lab, "vm3").unwrap();
    assert_eq!(first, "chassis1");
    ovn(&lab, "kill-chassis 1");
    eventually("Ready by the next chassis", || {
        ["vm2", "vm3"]
            .iter()
            .all(|name| chassis(&lab, name).as_deref() == Some("chassis2"))
    });
    // The machine of the dead chassis is away with it.
    for vm in ["vm2", "vm3"] {
        for address in addresses(&eip(&lab, vm)) {
            assert_eq!(get(&lab, "client", &address).unwrap().pod, vm, "{address}");
        }
    }

    // Nothing of what is deleted stays in the database.
    kubectl(
        &lab,
        &["-n", "net", "delete", "fip,eip", "--all", "--timeout=60s"],
    );
    kubectl(
        &lab,
        &[
            "-n",
            "net",
            "delete",
            "natgateway",
            "egress",
            "--timeout=60s",
        ],
    );
    assert_eq!(ovn(&lab, "nbctl --bare --columns=_uuid list nat"), "");
}

#[test]
fn a_gateways_pod_serves_a_network_of_ipv6_by_tcp() {
    let options = OvnOptions {
        servers: Servers::One,
        tls: false,
    };
    let lab = up("ovntcp", Families::V6, options);
    apply(&lab, &objects(Families::V6, options));
    wait_ready(&lab);
    packets_pass(&lab);
    assert!(
        lab.ovn(&["down".into()]).is_err(),
        "it goes with the lab only"
    );
}
