//! The race on an OVN network, through a real API server, the operator's own program and the
//! agent: gateway ports move, controllers stop and chassis die while FIPs are deleted. Whatever
//! says Ready names the chassis that has the flows.
//!
//! Needs root, for network namespaces, and what `scripts/ovn.sh` unpacks.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod control_plane;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Parser as _;
use control_plane::program::Program;
use control_plane::{ControlPlane, agent};
use ovn_lab::{GATEWAY_PORT, Network, ROUTER};
use serde_json::Value;
use sluice_core::identity::Uid;
use sluice_gateway_agent::options::Options;
use sluice_gateway_agent::ovn::OvnPlane;

/// EIPs, each with a FIP of both families.
const PAIRS: u8 = 12;

fn objects() -> String {
    let mut all = format!(
        r#"
apiVersion: v1
kind: Namespace
metadata: {{name: net}}
---
apiVersion: sluice.dev/v1alpha1
kind: EIPPool
metadata: {{name: external}}
spec:
  cooldown: 1s
  subnets:
  - {{cidr: 10.155.30.0/24, gateway: 10.155.30.1, ranges: [10.155.30.200-10.155.30.250]}}
  - {{cidr: "2001:db8:1::/64", gateway: "2001:db8:1::1", ranges: ["2001:db8:1::e:0/112"]}}
---
apiVersion: sluice.dev/v1alpha1
kind: NATGateway
metadata: {{name: egress, namespace: net}}
spec:
  dataplane: OVN
  ovn: {{northbound: "tcp:192.0.2.1:6641", southbound: "tcp:192.0.2.1:6642", router: {ROUTER}, gatewayPort: {GATEWAY_PORT}}}
  uplinks: [{{name: external, pools: [external]}}]
"#
    );
    for n in 1..=PAIRS {
        all.push_str(&format!(
            r#"---
apiVersion: sluice.dev/v1alpha1
kind: EIP
metadata: {{name: web-{n}, namespace: net}}
spec: {{gateway: {{name: egress}}, ipFamilyPolicy: RequireDualStack}}
---
apiVersion: sluice.dev/v1alpha1
kind: FIP
metadata: {{name: web-{n}, namespace: net}}
spec: {{eip: {{name: web-{n}}}, target: {{ips: [10.244.1.{n}, "fd00:10:244::1:{n:x}"]}}}}
"#
        ));
    }
    all
}

/// The agent of a Pod, in this process, as its own program would run.
fn start_agent(plane: &ControlPlane, network: &Network, gateway_uid: &str) {
    let (uid, token) = agent::pod(plane, "gw-1", true, gateway_uid);
    let kubeconfig = plane.kubeconfig("gw-1");
    std::fs::write(&kubeconfig, plane.kubeconfig_text(&token)).unwrap();
    let kubeconfig = kubeconfig.display().to_string();
    let (northbound, southbound) = (network.northbound().unwrap(), network.southbound().unwrap());
    let options = Options::parse_from([
        "agent",
        "--dataplane=ovn",
        &format!("--northbound={northbound}"),
        &format!("--southbound={southbound}"),
        &format!("--router={ROUTER}"),
        &format!("--gateway-port={GATEWAY_PORT}"),
        "--pod-name=gw-1",
        &format!("--pod-uid={uid}"),
        "--pod-namespace=net",
        "--node-name=node-a",
        "--gateway=egress",
        &format!("--gateway-uid={gateway_uid}"),
        &format!("--kubeconfig={kubeconfig}"),
    ]);
    let open = {
        let (ovn, gateway) = (options.ovn.clone(), options.gateway_uid.clone());
        move || {
            let me = sluice_gateway_agent::identity::instance(Uid::new(uid));
            OvnPlane::open(ovn, &gateway, &me.unwrap().to_string())
        }
    };
    // It ends with the test's process.
    tokio::spawn(async move {
        if let Err(error) = sluice_gateway_agent::run::run(options, open).await {
            println!("agent: {error}");
        }
    });
}

fn all(plane: &ControlPlane, kind: &str) -> Vec<Value> {
    let text = plane.kubectl(&["get", kind, "-n", "net", "-o", "json"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    list["items"].as_array().unwrap().clone()
}

fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    conditions
        .iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Looks up every Ready EIP in the flows of the chassis that it names; how many.
fn judge(plane: &ControlPlane, network: &Network) -> usize {
    let before = network.hosting().unwrap();
    let eips: Vec<Value> = all(plane, "eips.sluice.dev")
        .into_iter()
        .filter(is_ready)
        .collect();
    let number = before.trim_start_matches("chassis");
    let Ok(flows) = network.run("flows", &[number]) else {
        return 0;
    };
    // What was said of a chassis that does not host any more is rewritten within a moment.
    let steady = || network.hosting().unwrap() == before;
    let fips: BTreeMap<String, Value> = all(plane, "fips.sluice.dev")
        .into_iter()
        .map(|fip| (fip["metadata"]["name"].as_str().unwrap().to_owned(), fip))
        .collect();
    let mut judged = 0;
    for eip in eips {
        let name = eip["metadata"]["name"].as_str().unwrap();
        let chassis = eip["status"]["holder"]["hosting"]["chassis"].as_str();
        if chassis != Some(&before) {
            assert!(chassis.is_some(), "{name} is Ready without a chassis");
            continue;
        }
        let kept = fips
            .get(name)
            .is_some_and(|fip| is_ready(fip) && fip["metadata"]["deletionTimestamp"].is_null());
        let has = flows.contains(&format!(
            "nat(src={})",
            eip["status"]["ipv4"].as_str().unwrap()
        ));
        if kept && steady() {
            assert!(has, "{name} is Ready by {before}, which has no flow of it");
            judged += 1;
        }
    }
    judged
}

/// How many EIPs say Ready and name a chassis.
fn ready_by(plane: &ControlPlane, chassis: &str) -> usize {
    let named = |eip: &Value| eip["status"]["holder"]["hosting"]["chassis"] == chassis;
    let eips = all(plane, "eips.sluice.dev");
    eips.iter()
        .filter(|eip| is_ready(eip) && named(eip))
        .count()
}

struct Stage {
    plane: ControlPlane,
    network: Network,
    judged: usize,
}

impl Stage {
    /// Judges for so long.
    fn watch(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.judged += judge(&self.plane, &self.network);
        }
    }

    /// Judges until all EIPs are Ready by a chassis.
    fn all_by(&mut self, chassis: &str) {
        let began = Instant::now();
        while ready_by(&self.plane, chassis) < usize::from(PAIRS) {
            let took = began.elapsed();
            assert!(took < Duration::from_secs(60), "not all by {chassis}");
            self.judged += judge(&self.plane, &self.network);
        }
        println!("all Ready by {chassis} after {:?}", began.elapsed());
    }

    fn delete_fips(&self, numbers: std::ops::RangeInclusive<u8>) {
        let names: Vec<String> = numbers.map(|n| format!("web-{n}")).collect();
        let mut words = vec!["delete", "fips.sluice.dev", "-n", "net", "--wait=false"];
        words.extend(names.iter().map(String::as_str));
        self.plane.kubectl(&words);
    }

    fn move_to(&self, chassis: &str, priority: u8) {
        let set = format!("lrp-set-gateway-chassis {GATEWAY_PORT} {chassis} {priority}");
        self.network.nbctl(&set).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ready_names_the_chassis_that_has_the_flows_through_moves_stops_and_deaths() {
    let plane = ControlPlane::start("chassis").await;
    let network = Network::up(1).unwrap();
    let _program = Program::start(&plane);
    plane.apply(control_plane::objects::NETWORKS);
    plane.apply(&objects());
    let gateway_uid = plane
        .wait("the gateway's account", || {
            plane.get("serviceaccounts", "net", "sluice-egress")?;
            let gateway = plane.get("natgateways.sluice.dev", "net", "egress")?;
            gateway["metadata"]["uid"].as_str().map(str::to_owned)
        })
        .await;
    let deployment = plane
        .wait("the Deployment", || {
            plane.get("deployments", "net", "sluice-egress")
        })
        .await;
    let env = deployment.to_string();
    assert!(env.contains("OVN_NORTHBOUND") && env.contains("tcp:192.0.2.1:6641"));
    start_agent(&plane, &network, &gateway_uid);
    let mut stage = Stage {
        plane,
        network,
        judged: 0,
    };
    stage.all_by("chassis1");
    // Moves, with FIPs deleted in the middle of each.
    stage.move_to("chassis2", 50);
    stage.delete_fips(1..=3);
    stage.all_by("chassis2");
    stage.move_to("chassis1", 60);
    stage.delete_fips(4..=6);
    stage.all_by("chassis1");
    // The chassis that hosts listens to nobody: what is deleted stays until it does.
    stage.network.run("stop-controller", &["1"]).unwrap();
    stage.delete_fips(7..=8);
    stage.watch(Duration::from_secs(30));
    let left = all(&stage.plane, "fips.sluice.dev").len();
    assert_eq!(
        left,
        usize::from(PAIRS) - 6,
        "removed without the chassis' word"
    );
    stage.network.run("continue-controller", &["1"]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while all(&stage.plane, "fips.sluice.dev").len() > usize::from(PAIRS) - 8 {
        assert!(Instant::now() < deadline, "the FIPs do not go");
        stage.watch(Duration::from_millis(200));
    }
    // It dies, and FIPs are deleted before anybody knows.
    stage.network.run("kill-chassis", &["1"]).unwrap();
    stage.delete_fips(9..=10);
    stage.all_by("chassis2");
    stage.watch(Duration::from_secs(2));
    println!("{} claims looked up", stage.judged);
    assert!(stage.judged >= 100, "{} claims only", stage.judged);
}
