//! Connections over a restart of the agent: those that the rules agree with go on, those of
//! rules that went are flushed, whenever the process was killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nfnetlink::Socket;
use nfnetlink::conntrack::FlowFilter;
use rig::{Net, addr, in_ns, ip, output, revision, say, serve, settings, snapshot};
use sluice_crds::internal::ConfigRoute;
use sluice_gateway_agent::dataplane::DataPlane as _;
use sluice_gateway_agent::kernel_plane::KernelPlane;

const BEFORE: [&str; 9] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "addr e2 1 10.155.30.242 external",
    "addr e2 1 2001:db8:1::e:2 external",
    "addr e3 1 10.155.30.243 external",
    "fip f1 1 10.155.30.241 10.244.0.5 both",
    "fip f1 1 2001:db8:1::e:1 fd00:10:244::5 both",
    "fip f2 1 10.155.30.242 10.244.0.7 both",
    "snat s1 1 10.244.0.0/16 10.155.30.243",
];

/// One FIP has another target, one is gone; the others are as before.
const AFTER: [&str; 8] = [
    BEFORE[0],
    BEFORE[1],
    BEFORE[2],
    BEFORE[3],
    BEFORE[4],
    "fip f1 2 10.155.30.241 10.244.0.8 both",
    BEFORE[7],
    BEFORE[8],
];

/// Connections from outside through the FIPs that change.
struct Changing([TcpStream; 2]);

/// A FIP from outside, SNAT, and inside to inside by an EIP.
struct Healthy([TcpStream; 3]);

fn connect(ns: &str, from: &str, to: &str) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let to: SocketAddr = to.parse().unwrap();
    let from = SocketAddr::new(addr(from), 0);
    // The socket stays in the namespace in which it is made.
    let stream = in_ns(ns, move || {
        let family = match to {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let fd = socket(family, SocketType::STREAM, None).unwrap();
        bind(&fd, &from).unwrap();
        connect(&fd, &to).unwrap();
        TcpStream::from(fd)
    });
    let stream = stream.join().unwrap();
    let wait = Some(Duration::from_secs(2));
    stream.set_read_timeout(wait).unwrap();
    stream
}

fn open(net: &Net) -> (Changing, Healthy) {
    for (host, address) in [
        (&net.b, "10.244.0.7/16"),
        (&net.b, "10.244.0.8/16"),
        (&net.a, "10.244.0.9/16"),
    ] {
        ip(&format!("-n {host} address add {address} dev eth0"));
    }
    serve(&net.a, "10.244.0.5:7000");
    serve(&net.a, "[fd00:10:244::5]:7000");
    serve(&net.b, "10.244.0.7:7000");
    serve(&net.b, "10.244.0.8:7000");
    serve(&net.client, "10.155.30.9:7000");
    let changing = Changing([
        connect(&net.client, "10.155.30.9", "10.155.30.241:7000"),
        connect(&net.client, "2001:db8:1::9", "[2001:db8:1::e:1]:7000"),
    ]);
    let mut healthy = Healthy([
        connect(&net.client, "10.155.30.9", "10.155.30.242:7000"),
        connect(&net.b, "10.244.0.6", "10.155.30.9:7000"),
        connect(&net.a, "10.244.0.9", "10.155.30.242:7000"),
    ]);
    let seen = healthy.0.each_mut().map(|s| say(s).unwrap().ip());
    let expected = ["10.155.30.9", "10.155.30.243", "10.244.0.254"];
    assert_eq!(seen, expected.map(addr));
    (changing, healthy)
}

/// The kernel's number of each TCP flow, by its first packet: the same number is the same
/// flow, not one that was picked up again.
fn flows(net: &Net) -> BTreeMap<String, u32> {
    in_ns(&net.gw, || {
        let all = Socket::open().unwrap().flows(&FlowFilter::default());
        let tcp = all.unwrap().into_iter().filter(|flow| flow.orig.proto == 6);
        let name = |t: &nfnetlink::conntrack::Tuple| format!("{}>{} {:?}", t.src, t.dst, t.l4);
        tcp.map(|flow| (name(&flow.orig), flow.id)).collect()
    })
    .join()
    .unwrap()
}

/// An agent's process: works on the data plane with a pod's privileges, and ends without
/// clearing anything.
fn process<T: Send + 'static>(
    net: &Net,
    ownership: bool,
    work: impl FnOnce(&mut KernelPlane) -> T + Send + 'static,
) -> T {
    in_ns(&net.gw, move || {
        rig::drop_privileges();
        let mut plane = KernelPlane::open(rig::options(ownership)).unwrap();
        plane.guard().unwrap();
        work(&mut plane)
    })
    .join()
    .unwrap()
}

fn apply(plane: &mut KernelPlane, generation: i64, entries: &[&str]) {
    let snapshot = snapshot(settings(), entries);
    let done = plane.apply(&snapshot, &revision(generation), true);
    assert_eq!(done.unwrap().rejected, []);
}

#[test]
fn a_change_whose_flush_a_kill_prevented_is_flushed_by_the_next_process() {
    let net = Net::new();
    process(&net, true, |plane| apply(plane, 1, &BEFORE));
    let (Changing(mut changing), Healthy(mut healthy)) = open(&net);
    // Killed between commit and flush.
    let killed = net.gateway(true);
    killed.with(|kernel| {
        let applied = kernel.apply(&snapshot(settings(), &AFTER), &revision(2), true);
        assert!(applied.unwrap().flush.is_some());
    });
    killed.stop();
    for stream in &mut changing {
        assert!(say(stream).is_some(), "it lives on past its rule");
    }
    let before = flows(&net);
    assert_eq!(before.len(), 5, "{before:?}");
    process(&net, true, |plane| {
        assert_eq!(plane.found().unwrap().unwrap().revision, revision(2));
        apply(plane, 2, &AFTER);
        plane.flush().unwrap();
    });
    let mut kept = flows(&net);
    kept.retain(|flow, id| before.get(flow) == Some(id));
    assert_eq!(kept.len(), 3, "{kept:?} of {before:?}");
    for stream in &mut changing {
        assert!(say(stream).is_none(), "it lives on past the flush");
    }
    for stream in &mut healthy {
        assert!(say(stream).is_some(), "{}", output(&net.gw, "conntrack -L"));
    }
}

#[test]
fn a_restart_cuts_no_connection() {
    let net = Net::new();
    process(&net, true, |plane| apply(plane, 1, &BEFORE));
    let (Changing(changing), Healthy(healthy)) = open(&net);
    let before = flows(&net);
    assert_eq!(before.len(), 5, "{before:?}");
    process(&net, true, |plane| {
        apply(plane, 1, &BEFORE);
        plane.flush().unwrap();
    });
    assert_eq!(flows(&net), before);
    for mut stream in changing.into_iter().chain(healthy) {
        assert!(say(&mut stream).is_some(), "{stream:?}");
    }
}

#[test]
fn what_a_failed_change_may_have_left_is_flushed_after_the_next() {
    let net = Net::new();
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (go, wait) = std::sync::mpsc::channel::<bool>();
    let gw = net.gw.clone();
    let agent = in_ns(&gw, move || {
        let mut plane = KernelPlane::open(rig::options(false)).unwrap();
        apply(&mut plane, 1, &BEFORE);
        plane.flush().unwrap();
        tell.send(()).unwrap();
        while let Ok(fails) = wait.recv() {
            if fails {
                let mut bad = settings();
                bad.lan.interface.clear();
                let failed = plane.apply(&snapshot(bad, &AFTER), &revision(3), true);
                assert!(failed.unwrap_err().contains("lan.interface"));
            }
            apply(&mut plane, 2, &AFTER);
            plane.flush().unwrap();
            tell.send(()).unwrap();
        }
    });
    told.recv().unwrap();
    let (Changing([mut old, _]), Healthy(mut healthy)) = open(&net);
    // A change without its flush, of which the agent's process does not know.
    let other = net.gateway(false);
    other.with(|kernel| {
        let applied = kernel.apply(&snapshot(settings(), &AFTER), &revision(2), true);
        assert!(applied.unwrap().flush.is_some());
    });
    other.stop();
    go.send(false).unwrap();
    told.recv().unwrap();
    assert!(say(&mut old).is_some(), "nothing told of a change");
    go.send(true).unwrap();
    told.recv().unwrap();
    assert!(say(&mut old).is_none());
    for stream in &mut healthy {
        assert!(say(stream).is_some());
    }
    drop(go);
    agent.join().unwrap();
}

#[test]
fn a_change_that_failed_after_its_commit_is_flushed() {
    let net = Net::new();
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let gw = net.gw.clone();
    let agent = in_ns(&gw, move || {
        let mut plane = KernelPlane::open(rig::options(true)).unwrap();
        apply(&mut plane, 1, &BEFORE);
        plane.flush().unwrap();
        tell.send(()).unwrap();
        wait.recv().unwrap();
        let mut bad = settings();
        bad.lan.routes = vec![ConfigRoute {
            to: "10.99.0.0/16".into(),
            via: "127.0.0.1".into(),
        }];
        let failed = plane.apply(&snapshot(bad, &AFTER), &revision(2), true);
        assert!(failed.unwrap_err().contains("10.99.0.0/16"));
        assert_eq!(plane.found().unwrap().unwrap().revision, revision(2));
        // A flush of before falls due, then the change is made again.
        plane.flush().unwrap();
        apply(&mut plane, 3, &AFTER);
        plane.flush().unwrap();
    });
    told.recv().unwrap();
    let (Changing(mut changing), Healthy(mut healthy)) = open(&net);
    go.send(()).unwrap();
    agent.join().unwrap();
    for stream in &mut changing {
        assert!(say(stream).is_none(), "{stream:?}");
    }
    for stream in &mut healthy {
        assert!(say(stream).is_some(), "{stream:?}");
    }
}

#[test]
fn what_began_by_rules_of_others_is_flushed_when_they_are_undone() {
    let net = Net::new();
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let gw = net.gw.clone();
    let agent = in_ns(&gw, move || {
        let mut plane = KernelPlane::open(rig::options(false)).unwrap();
        apply(&mut plane, 1, &BEFORE);
        plane.flush().unwrap();
        tell.send(()).unwrap();
        wait.recv().unwrap();
        assert!(!plane.inspect().unwrap().drift.is_empty());
        assert!(plane.repair().unwrap() > 0);
        assert_eq!(plane.inspect().unwrap().drift, Vec::<String>::new());
    });
    told.recv().unwrap();
    let (_, Healthy(mut healthy)) = open(&net);
    for edit in [
        "nft delete element inet sluice fipin4 { 10.155.30.241 }",
        "nft add element inet sluice fipin4 { 10.155.30.241 : 10.244.0.8 }",
    ] {
        assert_eq!(output(&net.gw, edit), "");
    }
    let mut led_astray = connect(&net.client, "10.155.30.9", "10.155.30.241:7000");
    assert!(say(&mut led_astray).is_some());
    go.send(()).unwrap();
    agent.join().unwrap();
    assert!(say(&mut led_astray).is_none());
    for stream in &mut healthy {
        assert!(say(stream).is_some());
    }
}
