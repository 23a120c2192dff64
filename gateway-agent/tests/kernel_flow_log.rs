//! The log of translations, from real flows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nfnetlink::Socket;
use nfnetlink::conntrack::FlowFilter;
use rig::{Gateway, Net, ask, in_ns, options, output, revision, serve, settings, snapshot, until};
use serde_json::{Value, json};
use sluice_core::entry::Entry;
use sluice_gateway_agent::kernel::Kernel;
use sluice_gateway_agent::kernel::flow_log::{FlowLog, Output};
use sluice_gateway_agent::metrics::Metrics;

const ENTRIES: [&str; 9] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "addr e2 1 10.155.30.242 external",
    "addr e2 1 2001:db8:1::e:2 external",
    "fip f1 1 10.155.30.241 10.244.0.5 both",
    "fip f1 1 2001:db8:1::e:1 fd00:10:244::5 both",
    "snat s2 1 10.244.0.0/16 10.155.30.242",
    "snat s2 1 fd00:10:244::/64 2001:db8:1::e:2",
    "dnat d2 1 10.155.30.242 udp 8000 10.244.0.6 7000",
];

/// Lines in memory, as many as there is room for.
#[derive(Clone)]
struct Memory {
    room: Arc<AtomicUsize>,
    text: Arc<Mutex<String>>,
}

impl Memory {
    fn new(room: usize) -> Self {
        Self {
            room: Arc::new(AtomicUsize::new(room)),
            text: Arc::default(),
        }
    }

    fn lines(&self) -> Vec<Value> {
        let text = self.text.lock().unwrap().clone();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }
}

impl Memory {
    /// The lines with this in them.
    fn having(&self, part: &str) -> Vec<String> {
        let text = self.text.lock().unwrap();
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }
}

impl Output for Memory {
    fn room(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let text = std::str::from_utf8(bytes).unwrap();
        self.text.lock().unwrap().push_str(text);
        Ok(())
    }
}

type Logged = Gateway<(Kernel, FlowLog)>;

/// A gateway with these entries, its log, and what is counted.
fn logged(net: &Net, memory: &Memory) -> (Logged, Metrics) {
    let metrics = Metrics::default();
    let (memory, counted) = (memory.clone(), metrics.clone());
    let gateway = Gateway::start(&net.gw, move || {
        let outputs = Box::new(move || Box::new(memory.clone()) as Box<dyn Output>);
        let log = FlowLog::new("net/egress".to_owned(), outputs, counted);
        (Kernel::open(options(true)).unwrap(), log)
    });
    gateway.with(|(kernel, _)| {
        let snapshot = snapshot(settings(), &ENTRIES);
        kernel.apply(&snapshot, &revision(1), true).unwrap();
    });
    (gateway, metrics)
}

fn switch(gateway: &Logged, on: bool) {
    gateway.with(move |(_, log)| {
        let entries: Vec<Entry> = ENTRIES.iter().map(|line| line.parse().unwrap()).collect();
        log.follow(on, entries.iter()).unwrap();
        assert_eq!(log.is_on(), on);
    });
}

fn value(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// What the lines say that are the same each time.
fn told(line: &Value) -> Value {
    let of = |field: &str| line[field].clone();
    json!([
        of("event"),
        of("direction"),
        of("family"),
        of("inside_address"),
        of("eip_address"),
        of("eip_uid"),
        of("peer_address"),
        of("shown_address"),
    ])
}

#[test]
fn each_translation_has_a_line_when_it_begins_and_one_when_it_ends() {
    let net = Net::new();
    let memory = Memory::new(1 << 20);
    let (gateway, metrics) = logged(&net, &memory);
    for server in ["198.51.100.9:7000", "[2001:db8:2::9]:7000"] {
        serve(&net.client, server);
    }
    for server in ["10.244.0.5:7000", "[fd00:10:244::5]:7000"] {
        serve(&net.a, server);
    }
    serve(&net.b, "10.244.0.6:7000");
    // Before it is on nothing is heard.
    ask(&net.b, "198.51.100.9:7000");
    switch(&gateway, true);
    switch(&gateway, true);
    let (v4, v6) = ("ipv4", "ipv6");
    let (a4, a6, b4, b6) = (
        "10.244.0.5",
        "fd00:10:244::5",
        "10.244.0.6",
        "fd00:10:244::6",
    );
    let (far4, far6) = ("198.51.100.9", "2001:db8:2::9");
    let (e1, e1v6) = ("10.155.30.241", "2001:db8:1::e:1");
    let (e2, e2v6) = ("10.155.30.242", "2001:db8:1::e:2");
    let (near4, near6) = ("10.155.30.9", "2001:db8:1::9");
    for (from, to) in [
        (&net.b, "198.51.100.9:7000"),
        (&net.b, "[2001:db8:2::9]:7000"),
        (&net.a, "198.51.100.9:7000"),
        (&net.client, "10.155.30.241:7000"),
        (&net.client, "[2001:db8:1::e:1]:7000"),
        (&net.client, "10.155.30.242:8000"),
        (&net.b, "10.155.30.241:7000"),
    ] {
        ask(from, to);
    }
    let start = "start";
    let expected = [
        json!([start, "out", v4, b4, e2, "e2", far4, null]),
        json!([start, "out", v6, b6, e2v6, "e2", far6, null]),
        json!([start, "out", v4, a4, e1, "e1", far4, null]),
        json!([start, "in", v4, a4, e1, "e1", near4, null]),
        json!([start, "in", v6, a6, e1v6, "e1", near6, null]),
        json!([start, "in", v4, b4, e2, "e2", near4, null]),
        json!([start, "hairpin", v4, a4, e1, "e1", b4, "10.244.0.254"]),
    ];
    until("seven lines", || memory.lines().len() >= expected.len());
    let lines = memory.lines();
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
    let dnat = &lines[5];
    assert_eq!(
        [&dnat["eip_port"], &dnat["inside_port"], &dnat["protocol"]],
        [&json!(8000), &json!(7000), &json!("udp")]
    );
    // A port of the EIP stands there as the server saw it.
    assert!(lines[0]["eip_port"].is_u64() && lines[0]["peer_port"] == json!(7000));
    assert_eq!(lines[0]["kind"], json!("flow"));
    assert_eq!(lines[0]["gateway"], json!("net/egress"));

    // The end, with the start in it.
    gateway.with(|_| {
        let mut socket = Socket::open().unwrap();
        socket.flush_flows(&FlowFilter::default()).unwrap();
    });
    until("as many ends", || {
        memory.lines().len() >= 2 * expected.len()
    });
    let ends = &memory.lines()[expected.len()..];
    for start in &lines {
        let end = ends.iter().find(|end| end["id"] == start["id"]).unwrap();
        assert_eq!(end["event"], json!("end"));
        assert_eq!(end["started"], start["time"]);
        assert_eq!(end["eip_port"], start["eip_port"]);
    }
    // That which began before counts as ended only if the kernel tells.
    let text = metrics.text();
    assert_eq!(value(&text, "sluice_agent_flow_log_on"), 1);
    let written = value(&text, "sluice_agent_flow_log_lines_total");
    assert!(written >= 14, "{written}");

    switch(&gateway, false);
    until("the end of the socket", || {
        !output(&net.gw, "cat /proc/net/netlink")
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .any(|columns| columns.get(1) == Some(&"12") && columns.get(3) == Some(&"00000005"))
    });
    let before = memory.lines().len();
    ask(&net.b, "198.51.100.9:7000");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(memory.lines().len(), before);
}

#[test]
fn what_cannot_be_written_is_dropped_and_every_flow_is_accounted_for() {
    const FLOWS: u16 = 40_000;
    let net = Net::new();
    let memory = Memory::new(0);
    let (gateway, metrics) = logged(&net, &memory);
    switch(&gateway, true);
    in_ns(&net.b, || {
        let to: SocketAddr = "198.51.100.9:7000".parse().unwrap();
        for port in 10_000..10_000 + FLOWS {
            let socket = UdpSocket::bind(("10.244.0.6", port)).unwrap();
            socket.send_to(b"x", to).unwrap();
        }
    })
    .join()
    .unwrap();
    // Nothing was written, and less is kept than was told.
    until("lines that are dropped", || {
        value(
            &metrics.text(),
            "sluice_agent_flow_log_lost_total{by=\"buffer\"}",
        ) > 1_000
    });
    assert_eq!(memory.having("start").len(), 0);
    memory.room.store(1 << 20, Ordering::Relaxed);
    until("what is in the buffer", || {
        memory.having("start").len() > 1_000
    });
    // One more, which tells what is missing before it.
    until("the line that says what is lost", || {
        ask_any(&net);
        !memory.having("\"by\":\"buffer\"").is_empty()
    });
    until("all flows", || {
        let lost = memory.having("\"event\":\"lost\"");
        let lost = lost.iter().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["lost"].as_u64().unwrap()
        });
        let lost: u64 = lost.sum();
        let started = memory.having("\"peer_port\":7000").len();
        // Each flow is one event.
        u64::try_from(started).unwrap() + lost >= u64::from(FLOWS)
    });
}

fn ask_any(net: &Net) {
    in_ns(&net.b, || {
        let socket = UdpSocket::bind("10.244.0.6:0").unwrap();
        socket.send_to(b"x", "198.51.100.9:7001").unwrap();
    })
    .join()
    .unwrap();
}
