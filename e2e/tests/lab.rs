//! The lab itself: that it is what it promises to be, and that nothing of it
//! is left when it is down, however it ended.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests, and what they share"
)]

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sluice_e2e::cgroup::Cgroup;
use sluice_e2e::command::run_with_input;
use sluice_e2e::control::Request;
use sluice_e2e::control_plane::Component;
use sluice_e2e::echo::Seen;
use sluice_e2e::paths::LabPaths;
use sluice_e2e::probe::{self, Method};
use sluice_e2e::{Families, Host, Lab, UpOptions};

/// A name that no other run of these tests uses.
fn name(what: &str) -> String {
    format!("{what}{}", std::process::id())
}

fn options(what: &str) -> UpOptions {
    UpOptions {
        name: name(what),
        operator: false,
        ..UpOptions::default()
    }
}

fn up(options: &UpOptions) -> Lab {
    let start = Instant::now();
    let lab = Lab::up(options, &|text| println!("{}: {text}", options.name)).unwrap();
    println!(
        "{}: up in {:.1} s",
        options.name,
        start.elapsed().as_secs_f64()
    );
    lab
}

/// Takes a lab down that nobody guards, however its test ends.
struct TakeDown(String);

impl Drop for TakeDown {
    fn drop(&mut self) {
        if let Err(error) = Lab::down(&self.0) {
            eprintln!("lab {}: {error}", self.0);
        }
    }
}

/// Says how long each stage of a test took, for whoever reads a slow run.
fn stage(since: &mut Instant, what: &str) {
    println!("{what}: {:.1} s", since.elapsed().as_secs_f64());
    *since = Instant::now();
}

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

/// What a command prints on a host; it must succeed.
fn output(lab: &Lab, on: &str, argv: &[&str]) -> String {
    let output = lab.exec(&host(on), argv).unwrap();
    assert!(
        output.status.success(),
        "{on}: {argv:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Who answers `url` when asked from a host, and whom it saw.
fn get(lab: &Lab, from: &str, url: &str) -> Seen {
    let echo = env!("CARGO_BIN_EXE_sluice-echo");
    let text = output(lab, from, &[echo, "--get", url, "--timeout-ms", "3000"]);
    serde_json::from_str(&text).unwrap()
}

fn kubectl(lab: &Lab, args: &[&str]) -> String {
    let output = lab.kubectl().args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn eventually(what: &str, secs: u64, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(secs);
    while !done() {
        assert!(Instant::now() < deadline, "not within {secs} s: {what}");
        sleep(Duration::from_millis(50));
    }
}

/// What the host shows of a lab: this must be empty when it is down.
fn traces(name: &str) -> Vec<String> {
    let paths = LabPaths::new(name).unwrap();
    let dir = paths.dir.display().to_string();
    let mut found = Vec::new();
    for pid in Cgroup::new(paths.unique()).processes() {
        found.push(format!("process {pid}"));
    }
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&command).replace('\0', " ");
        if text.contains(&format!("{dir}/")) {
            found.push(format!("process {}: {text}", entry.file_name().display()));
        }
    }
    for line in fs::read_to_string("/proc/self/mounts")
        .unwrap()
        .lines()
        .filter(|line| line.contains(&dir))
    {
        found.push(format!("mount {line}"));
    }
    for root in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let cgroup = root.path().join(paths.unique());
        if cgroup.exists() {
            found.push(format!("cgroup {}", cgroup.display()));
        }
    }
    if paths.dir.exists() {
        found.push(dir);
    }
    found
}

/// The host's own network: links, named namespaces, routes, rules, nft tables, forwarding.
fn host_network() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for argv in [
        &["ip", "-o", "link"][..],
        &["ip", "netns"],
        &["ip", "route", "show", "table", "all"],
        &["ip", "rule"],
        &["nft", "list", "tables"],
        &[
            "sysctl",
            "net.ipv4.ip_forward",
            "net.ipv6.conf.all.forwarding",
            "vm.overcommit_memory",
            "kernel.panic",
        ],
    ] {
        let output = Command::new(argv[0]).args(&argv[1..]).output().unwrap();
        all.extend(
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .map(|line| format!("{argv:?} {line}")),
        );
    }
    all
}

#[test]
fn a_lab_is_what_its_contract_says() {
    let options = options("c");
    let lab = up(&options);

    // Pods are born forwarding; attachments do not forward.
    for pod in ["pod/tenants/web", "pod/tenants/web2"] {
        assert_eq!(
            output(&lab, pod, &["cat", "/proc/sys/net/ipv4/ip_forward"]),
            "1"
        );
        assert_eq!(
            output(
                &lab,
                pod,
                &["cat", "/proc/sys/net/ipv4/conf/lan0/forwarding"]
            ),
            "0"
        );
        // The default route is the LAN's, in both families, and there is no
        // other to fall back to.
        for family in ["-4", "-6"] {
            let routes = output(&lab, pod, &["ip", family, "route", "show", "default"]);
            assert_eq!(routes.lines().count(), 1, "{pod}: {routes}");
        }
        assert!(
            output(&lab, pod, &["ip", "route", "get", "192.0.2.1"])
                .contains("via 10.244.0.254 dev lan0")
        );
        assert!(
            output(&lab, pod, &["ip", "-6", "route", "get", "2001:db8:9::1"])
                .contains("via fd00:10:244::fe dev lan0")
        );
    }

    // The LAN over both nodes, in both families, and the pod network too.
    assert_eq!(
        get(&lab, "pod/tenants/web", "http://10.244.0.6").source,
        "10.244.0.5"
    );
    let seen = get(&lab, "pod/tenants/web", "http://[fd00:10:244::6]:8099/x");
    assert_eq!(
        (seen.pod.as_str(), seen.source.as_str(), seen.data.as_str()),
        ("web2", "fd00:10:244::5", "/x")
    );
    let ips = kubectl(
        &lab,
        &[
            "-n",
            "tenants",
            "get",
            "pod",
            "web2",
            "-o",
            "jsonpath={.status.podIPs[*].ip}",
        ],
    );
    let ips: Vec<&str> = ips.split(' ').collect();
    assert_eq!(ips.len(), 2, "{ips:?}");
    assert_eq!(
        get(&lab, "pod/tenants/web", &format!("http://{}", ips[0])).pod,
        "web2"
    );
    assert_eq!(
        get(&lab, "pod/tenants/web", &format!("http://[{}]", ips[1])).pod,
        "web2"
    );
    let echo = env!("CARGO_BIN_EXE_sluice-echo");
    assert!(
        output(&lab, "pod/tenants/web", &[echo, "--udp", "10.244.0.6:5353"])
            .contains("\"own\":\"10.244.0.6\"")
    );
    assert_eq!(
        output(
            &lab,
            "client",
            &[echo, "--get", "http://10.155.30.1/stream?n=3&interval_ms=1"]
        )
        .lines()
        .count(),
        3
    );

    // The outside, and what is behind its router.
    assert_eq!(
        get(&lab, "client2", "http://10.155.30.9").source,
        "198.51.100.9"
    );
    assert_eq!(
        get(&lab, "client", "http://[2001:db8:2::9]").source,
        "2001:db8:1::9"
    );
    // Tenants have no way out without a gateway.
    let lost = lab
        .exec(
            &host("pod/tenants/web"),
            &[echo, "--get", "http://10.155.30.9", "--timeout-ms", "300"],
        )
        .unwrap();
    assert!(!lost.status.success());

    // Datagrams each millisecond, answered by the address that was asked.
    let mut plan = probe::Plan::new("10.155.30.1".parse().unwrap(), Method::Udp, 5353);
    plan.interval = Duration::from_millis(1);
    plan.length = Some(Duration::from_millis(300));
    let mut samples = Vec::new();
    probe::run(
        &lab.netns(&host("client2")).unwrap(),
        plan,
        &std::sync::Arc::default(),
        |s| samples.push(s),
    )
    .unwrap();
    let answered = samples.iter().filter(|s| s.answered).count();
    assert!(
        answered > 30 && answered == samples.len(),
        "{answered} of {}: {:?}",
        samples.len(),
        samples.last()
    );

    let mut since = Instant::now();
    boot_ids(&lab);
    stage(&mut since, "boot IDs and a power cycle");
    failures(&lab, echo);
    stage(&mut since, "failures");
    drop(lab);
    stage(&mut since, "down");
    assert_eq!(traces(&options.name), Vec::<String>::new());
}

/// A node has a boot ID of its own, in its pods too, and another after a power cycle.
fn boot_ids(lab: &Lab) {
    let reported = |node: &str| {
        kubectl(
            lab,
            &[
                "get",
                "node",
                node,
                "-o",
                "jsonpath={.status.nodeInfo.bootID}",
            ],
        )
    };
    let inside = |pod: &str| {
        let processes = host(pod).processes(lab.paths(), lab.state()).unwrap();
        let pid = processes.iter().find(|process| !process.pause).unwrap().pid;
        fs::read_to_string(format!("/proc/{pid}/root/proc/sys/kernel/random/boot_id"))
            .unwrap()
            .trim()
            .to_owned()
    };
    let real = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap()
        .trim()
        .to_owned();
    let (a, b) = (reported("node-a"), reported("node-b"));
    assert!(a != b && a != real && b != real);
    assert_eq!(inside("pod/tenants/web"), a);
    assert_eq!(inside("pod/tenants/web2"), b);

    let node = || "node-b".to_owned();
    lab.ask(&Request::NodeOff { node: node() }).unwrap();
    assert!(lab.netns(&host("node/node-b")).is_err());
    assert!(lab.netns(&host("pod/tenants/web2")).is_err());
    // A pod of the same name that is made anew may have the address at once.
    let held = |address: &str| lab.paths().ipam().join("lan").join(address).exists();
    assert!(held("10.244.0.5") && held("fd00:10:244::5"));
    assert!(!held("10.244.0.6") && !held("fd00:10:244::6"));
    // And nobody who asks for no address gets one next to those that are asked for.
    assert!(!held("last_reserved_ip.0") && !held("last_reserved_ip.1"));
    lab.ask(&Request::NodeOn { node: node() }).unwrap();
    eventually("a new boot ID of node-b", 60, || reported("node-b") != b);
    eventually("web2 back", 60, || {
        lab.netns(&host("pod/tenants/web2")).is_ok() && {
            let echo = env!("CARGO_BIN_EXE_sluice-echo");
            let argv = [echo, "--get", "http://10.244.0.6", "--timeout-ms", "300"];
            lab.exec(&host("pod/tenants/web"), &argv)
                .is_ok_and(|output| output.status.success())
        }
    });
    assert_eq!(inside("pod/tenants/web2"), reported("node-b"));
}

/// Each way to break a part breaks that part only, and can be mended.
fn failures(lab: &Lab, echo: &str) {
    let answers = |from: &str, url: &str| {
        let argv = [echo, "--get", url, "--timeout-ms", "500"];
        lab.exec(&host(from), &argv).unwrap().status.success()
    };
    assert_eq!(
        lab.signal(&host("pod/tenants/web"), Signal::STOP).unwrap(),
        1
    );
    assert!(!answers("pod/tenants/web2", "http://10.244.0.5"));
    lab.signal(&host("pod/tenants/web"), Signal::CONT).unwrap();
    assert!(answers("pod/tenants/web2", "http://10.244.0.5"));

    let freeze = |frozen| {
        lab.ask(&Request::Freeze {
            node: "node-a".into(),
            frozen,
        })
        .unwrap()
    };
    freeze(true);
    assert!(!answers("pod/tenants/web2", "http://10.244.0.5"));
    output(
        lab,
        "pod/tenants/web2",
        &["ping", "-c1", "-W1", "10.244.0.5"],
    );
    freeze(false);
    assert!(answers("pod/tenants/web2", "http://10.244.0.5"));

    let api = |pod: &str, ip: &str| {
        let argv = [
            "bash",
            "-c",
            &format!("exec timeout 1 bash -c 'echo > /dev/tcp/{ip}/443'"),
        ];
        lab.exec(&host(pod), &argv).unwrap().status.success()
    };
    let partition = |cut| {
        lab.ask(&Request::Partition {
            node: "node-a".into(),
            cut,
        })
        .unwrap()
    };
    partition(true);
    assert!(!api("pod/tenants/web", "10.96.0.1"));
    assert!(api("pod/tenants/web2", "10.96.0.1"));
    assert!(answers("pod/tenants/web2", "http://10.244.0.5"));
    partition(false);
    eventually("the API server reached again", 5, || {
        api("pod/tenants/web", "10.96.0.1")
    });
    partition(false);

    let component = Component::ApiServer;
    lab.ask(&Request::Stop { component }).unwrap();
    assert!(
        !lab.kubectl()
            .args(["get", "nodes"])
            .output()
            .unwrap()
            .status
            .success()
    );
    // Hosts are found without the API server.
    assert!(answers("pod/tenants/web", "http://10.244.0.6"));
    lab.ask(&Request::Start { component }).unwrap();
    eventually("the API server again", 60, || {
        lab.kubectl()
            .args(["get", "nodes"])
            .output()
            .unwrap()
            .status
            .success()
    });
}

#[test]
fn two_labs_run_side_by_side_and_leave_nothing() {
    let before = host_network();
    let v4 = UpOptions {
        families: Families::V4,
        nodes: 1,
        ..options("four")
    };
    let v6 = UpOptions {
        families: Families::V6,
        nodes: 2,
        operator: true,
        ..options("six")
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| up(&v4));
        let second = up(&v6);
        let first = first.join().unwrap();
        assert_ne!(first.state().port, second.state().port);
        assert_eq!(
            get(&first, "pod/tenants/client-a", "http://10.244.0.5").source,
            "10.244.0.7"
        );
        assert_eq!(
            get(&second, "pod/tenants/client-b", "http://[fd00:10:244::5]").source,
            "fd00:10:244::8"
        );
        assert_eq!(
            output(
                &second,
                "pod/tenants/web",
                &["ip", "-4", "-o", "addr", "show", "dev", "eth0"]
            ),
            ""
        );
        translate_ipv6_alone(&second);
        assert_eq!(host_network(), before);
        assert!(
            Lab::up(&v4, &|_| {}).is_err(),
            "a second lab of the same name"
        );
    });
    for name in [&v4.name, &v6.name] {
        assert_eq!(traces(name), Vec::<String>::new());
    }
    assert_eq!(host_network(), before);
}

const IPV6_ALONE: &str = r#"
apiVersion: sluice.dev/v1alpha1
kind: EIPPool
metadata: {name: six}
spec:
  subnets: [{cidr: "2001:db8:1::/64", gateway: "2001:db8:1::1", ranges: ["2001:db8:1::6/128"]}]
---
apiVersion: sluice.dev/v1alpha1
kind: NATGateway
metadata: {name: six, namespace: net}
spec:
  uplinks: [{name: external, pools: [six], networkAttachment: external}]
  lan: {networkAttachment: lan}
---
apiVersion: sluice.dev/v1alpha1
kind: EIP
metadata: {name: web, namespace: net}
spec: {gateway: {name: six}, ipFamilyPolicy: SingleStack}
---
apiVersion: sluice.dev/v1alpha1
kind: FIP
metadata: {name: web, namespace: net}
spec: {eip: {name: web}, target: {ips: ["fd00:10:244::5"]}}
"#;

/// The operator, an agent and a translation both ways where there is no IPv4.
fn translate_ipv6_alone(lab: &Lab) {
    let mut apply = lab.kubectl();
    run_with_input(apply.args(["apply", "-f", "-"]), IPV6_ALONE).unwrap();
    let ready = [
        "wait",
        "-n",
        "net",
        "--for=condition=Ready",
        "--timeout=60s",
    ];
    kubectl(lab, &[&ready[..], &["natgateway/six", "fip/web"]].concat());
    let inward = get(lab, "client", "http://[2001:db8:1::6]");
    assert_eq!((&*inward.pod, &*inward.source), ("web", "2001:db8:1::9"));
    let outward = get(lab, "pod/tenants/web", "http://[2001:db8:2::9]");
    assert_eq!(outward.source, "2001:db8:1::6");
}

#[test]
fn a_lab_that_was_killed_leaves_no_process_and_its_rests_are_removed() {
    let options = UpOptions {
        nodes: 1,
        tenants: false,
        ..options("k")
    };
    let mut lab = up(&options);
    let _rests = TakeDown(options.name.clone());
    lab.keep();
    kill_process(Pid::from_raw(lab.state().init.pid).unwrap(), Signal::KILL).unwrap();
    let cgroup = Cgroup::new(lab.paths().unique());
    // The first one has left its cgroup while it still waits for the others' ends.
    eventually("the end of all its processes", 10, || {
        cgroup.processes().is_empty() && !lab.state().init.alive()
    });
    drop(lab);
    assert!(Lab::open(&options.name).is_err());
    assert_ne!(traces(&options.name), Vec::<String>::new());
    // Bringing it up again removes the rests first; of two at once one does.
    let both = std::thread::scope(|scope| {
        let start = || scope.spawn(|| Lab::up(&options, &|_| {}));
        [start(), start()].map(|one| one.join().unwrap())
    });
    let (up, refused): (Vec<_>, Vec<_>) = both.into_iter().partition(Result::is_ok);
    assert_eq!((up.len(), refused.len()), (1, 1));
    let why = refused.into_iter().find_map(Result::err).unwrap();
    assert!(why.to_string().contains("is up already"), "{why}");
    drop(up);
    assert_eq!(traces(&options.name), Vec::<String>::new());
    // Down on what is down already is no error.
    Lab::down(&options.name).unwrap();
}

#[test]
fn a_lab_goes_down_when_who_brings_it_up_is_killed() {
    let name = name("g");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sluice-lab"))
        .args([
            "--name",
            &name,
            "up",
            "--nodes",
            "1",
            "--no-operator",
            "--no-tenants",
        ])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let paths = LabPaths::new(&name).unwrap();
    eventually("a node", 60, || {
        paths.node("node-a").join("init.pid").exists()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("nothing of it", 20, || traces(&name).is_empty());
}
