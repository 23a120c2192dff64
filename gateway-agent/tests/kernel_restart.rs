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
use rig::{
    Gateway, Net, addr, in_ns, ip, options, output, revision, say, serve, settings, snapshot,
};
use sluice_core::identity::Revision;
use sluice_crds::internal::{ConfigRoute, ConfigSettings};
use sluice_gateway_agent::dataplane::{DataPlane as _, Done};
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

/// An agent's process: the data plane with a pod's privileges. It ends without clearing
/// anything.
struct Process(Gateway<KernelPlane>);

impl Process {
    fn start(net: &Net, ownership: bool) -> Self {
        Self(Gateway::start(&net.gw, move || {
            let mut plane = KernelPlane::open(options(ownership)).unwrap();
            plane.guard().unwrap();
            plane
        }))
    }

    fn change(
        &self,
        generation: i64,
        settings: ConfigSettings,
        entries: &[&str],
    ) -> Result<Done, String> {
        let snapshot = snapshot(settings, entries);
        self.0
            .with(move |plane| plane.apply(&snapshot, &revision(generation), true))
    }

    fn apply(&self, generation: i64, entries: &[&str]) {
        let done = self.change(generation, settings(), entries);
        assert_eq!(done.unwrap().rejected, []);
    }

    fn flush(&self) {
        self.0.with(|plane| plane.flush()).unwrap();
    }

    fn revision(&self) -> Revision {
        let found = self.0.with(|plane| plane.found()).unwrap();
        found.unwrap().revision
    }
}

/// A process changes the rules and is killed before it flushes what that made void.
fn killed_before_the_flush(net: &Net, ownership: bool) {
    let applied = net
        .gateway(ownership)
        .with(|kernel| kernel.apply(&snapshot(settings(), &AFTER), &revision(2), true));
    assert!(applied.unwrap().flush.is_some());
}

#[test]
fn a_change_whose_flush_a_kill_prevented_is_flushed_by_the_next_process() {
    let net = Net::new();
    Process::start(&net, true).apply(1, &BEFORE);
    let (Changing(mut changing), Healthy(mut healthy)) = open(&net);
    killed_before_the_flush(&net, true);
    for stream in &mut changing {
        assert!(say(stream).is_some(), "it lives on past its rule");
    }
    let before = flows(&net);
    assert_eq!(before.len(), 5, "{before:?}");
    let next = Process::start(&net, true);
    assert_eq!(next.revision(), revision(2));
    next.apply(2, &AFTER);
    next.flush();
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
    Process::start(&net, true).apply(1, &BEFORE);
    let (Changing(changing), Healthy(healthy)) = open(&net);
    let before = flows(&net);
    assert_eq!(before.len(), 5, "{before:?}");
    let next = Process::start(&net, true);
    next.apply(1, &BEFORE);
    next.flush();
    assert_eq!(flows(&net), before);
    for mut stream in changing.into_iter().chain(healthy) {
        assert!(say(&mut stream).is_some(), "{stream:?}");
    }
}

#[test]
fn what_a_failed_change_may_have_left_is_flushed_after_the_next() {
    let net = Net::new();
    let agent = Process::start(&net, false);
    agent.apply(1, &BEFORE);
    agent.flush();
    let (Changing([mut old, _]), Healthy(mut healthy)) = open(&net);
    // The agent's process does not know of it.
    killed_before_the_flush(&net, false);
    agent.apply(2, &AFTER);
    agent.flush();
    assert!(say(&mut old).is_some(), "nothing told of a change");
    let mut bad = settings();
    bad.lan.interface.clear();
    let failed = agent.change(3, bad, &AFTER).unwrap_err();
    assert!(failed.contains("lan.interface"));
    agent.apply(2, &AFTER);
    agent.flush();
    assert!(say(&mut old).is_none());
    for stream in &mut healthy {
        assert!(say(stream).is_some());
    }
}

#[test]
fn a_change_that_failed_after_its_commit_is_flushed() {
    let net = Net::new();
    let agent = Process::start(&net, true);
    agent.apply(1, &BEFORE);
    agent.flush();
    let (Changing(mut changing), Healthy(mut healthy)) = open(&net);
    let mut bad = settings();
    bad.lan.routes = vec![ConfigRoute {
        to: "10.99.0.0/16".into(),
        via: "127.0.0.1".into(),
    }];
    let failed = agent.change(2, bad, &AFTER).unwrap_err();
    assert!(failed.contains("10.99.0.0/16"));
    assert_eq!(agent.revision(), revision(2));
    // A flush of before falls due, then the change is made again.
    agent.flush();
    agent.apply(3, &AFTER);
    agent.flush();
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
    let agent = Process::start(&net, false);
    agent.apply(1, &BEFORE);
    agent.flush();
    let (_, Healthy(mut healthy)) = open(&net);
    for edit in [
        "nft delete element inet sluice fipin4 { 10.155.30.241 }",
        "nft add element inet sluice fipin4 { 10.155.30.241 : 10.244.0.8 }",
    ] {
        assert_eq!(output(&net.gw, edit), "");
    }
    let mut led_astray = connect(&net.client, "10.155.30.9", "10.155.30.241:7000");
    assert!(say(&mut led_astray).is_some());
    agent.0.with(|plane| {
        assert!(!plane.inspect().unwrap().drift.is_empty());
        assert!(plane.repair().unwrap() > 0);
        assert_eq!(plane.inspect().unwrap().drift, Vec::<String>::new());
    });
    assert!(say(&mut led_astray).is_none());
    for stream in &mut healthy {
        assert!(say(stream).is_some());
    }
}
