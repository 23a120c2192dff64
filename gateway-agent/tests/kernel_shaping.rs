//! EIPs with limits: what they let through, and that nothing but a limit makes it less.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::time::{Duration, Instant};

use rig::{
    Flow, Gateway, Net, Stream, addr, ask, bits_per_sec, output, revision, serve, settings,
    snapshot, until,
};
use sluice_gateway_agent::kernel::{Event, Kernel};

/// Of one EIP with a FIP in both families, one with a FIP, one with SNAT and one with DNAT.
const RULES: [&str; 9] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "addr e2 1 10.155.30.242 external",
    "addr e3 1 10.155.30.243 external",
    "fip f1 1 10.155.30.241 10.244.0.5 both",
    "fip f1 1 2001:db8:1::e:1 fd00:10:244::5 both",
    "fip f2 1 10.155.30.242 10.244.0.6 both",
    "snat s1 1 10.244.0.0/16 10.155.30.243",
    "dnat d1 1 10.155.30.243 tcp 7100-7199 10.244.0.6 7100-7199",
];

const TIME: Duration = Duration::from_secs(2);
const RATE: f64 = 8e6;
/// What the first has.
const E1: [&str; 2] = [
    "shape e1 1 10.155.30.241 8000000 8000000",
    "shape e1 1 2001:db8:1::e:1 8000000 8000000",
];

fn with(limits: &[&'static str]) -> Vec<&'static str> {
    [RULES.as_slice(), limits].concat()
}

fn limited(net: &Net, limits: &[&'static str]) -> Gateway {
    let gateway = net.gateway(false);
    let applied = gateway.apply(1, &with(limits), true);
    assert_eq!(applied.rejected, []);
    gateway
}

#[track_caller]
fn assert_near(bits: f64, rate: f64) {
    assert!(
        bits >= 0.5 * rate && bits <= 1.3 * rate,
        "{bits} at a rate of {rate}"
    );
}

/// A connection finds out by and by how fast it may be.
#[track_caller]
fn assert_soon(stream: &Stream, rate: f64) {
    let mut seen = Vec::new();
    while seen.len() < 8 {
        let bits = bits_per_sec(&[stream], TIME / 2);
        seen.push(bits);
        if bits >= 0.5 * rate && bits <= 1.3 * rate {
            return;
        }
    }
    panic!("{seen:?} at a rate of {rate}");
}

/// No limit of these tests.
#[track_caller]
fn assert_free(bits: f64) {
    assert!(bits > 100e6, "{bits}");
}

fn outside(net: &Net) -> (&str, &str) {
    (&net.client, "10.155.30.9")
}

/// A connection from outside to the first EIP's address of a family.
fn to_e1(net: &Net, v4: bool, flow: Flow) -> Stream {
    let (from, to, at) = match v4 {
        true => ("10.155.30.9", "10.155.30.241", "10.244.0.5:0"),
        false => ("2001:db8:1::9", "2001:db8:1::e:1", "[fd00:10:244::5]:0"),
    };
    Stream::open((&net.client, from), to, (&net.a, at), flow)
}

/// Bytes that the kernel says a class has sent, by interface.
fn sent(net: &Net, interface: &str) -> u64 {
    let shown = output(&net.gw, &format!("tc -s class show dev {interface}"));
    let words: Vec<&str> = shown.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "Sent");
    at.unwrap_or_else(|| panic!("no class: {shown}"));
    words[at.unwrap() + 1].parse().unwrap()
}

#[test]
fn a_limit_holds_each_way_for_both_families_together_and_for_nobody_else() {
    let net = Net::new();
    let _gateway = limited(&net, &E1);
    for flow in [Flow::Up, Flow::Down] {
        let streams = [true, false].map(|v4| to_e1(&net, v4, flow));
        let [v4, v6] = &streams;
        assert_near(bits_per_sec(&[v4, v6], TIME), RATE);
        // While those wait for their turn.
        let other = Stream::open(
            outside(&net),
            "10.155.30.242",
            (&net.b, "10.244.0.6:0"),
            flow,
        );
        assert_free(bits_per_sec(&[&other], TIME));
        let inside = (&*net.b, "10.244.0.6");
        let plain = Stream::open(inside, "10.244.0.5", (&net.a, "10.244.0.5:0"), flow);
        assert_free(bits_per_sec(&[&plain], TIME));
        let hairpin = Stream::open(inside, "10.155.30.241", (&net.a, "10.244.0.5:0"), flow);
        assert_free(bits_per_sec(&[&hairpin], TIME));
    }
    // Each family has all of it, when the other is silent.
    for v4 in [true, false] {
        assert_near(bits_per_sec(&[&to_e1(&net, v4, Flow::Down)], TIME), RATE);
    }
}

#[test]
fn one_way_may_be_limited_and_the_other_not() {
    let net = Net::new();
    let gateway = limited(&net, &["shape e1 1 10.155.30.241 - 8000000"]);
    assert_near(bits_per_sec(&[&to_e1(&net, true, Flow::Down)], TIME), RATE);
    assert_free(bits_per_sec(&[&to_e1(&net, true, Flow::Up)], TIME));
    let applied = gateway.apply(2, &with(&["shape e1 2 10.155.30.241 8000000 -"]), true);
    assert_eq!(applied.rejected, []);
    assert_near(bits_per_sec(&[&to_e1(&net, true, Flow::Up)], TIME), RATE);
    assert_free(bits_per_sec(&[&to_e1(&net, true, Flow::Down)], TIME));
    assert!(!output(&net.gw, "tc qdisc show dev eth1").contains("htb"));
}

#[test]
fn what_forwarding_and_snat_translate_is_limited_too() {
    let net = Net::new();
    let _gateway = limited(&net, &["shape e3 1 10.155.30.243 8000000 16000000"]);
    for (flow, rate) in [(Flow::Down, RATE), (Flow::Up, 2.0 * RATE)] {
        let inside = (&*net.b, "10.244.0.7");
        rig::ip(&format!(
            "-n {} address replace 10.244.0.7/16 dev eth0",
            net.b
        ));
        let by_snat = Stream::open(
            inside,
            "198.51.100.9",
            (&net.client, "198.51.100.9:0"),
            flow,
        );
        assert_near(bits_per_sec(&[&by_snat], TIME), rate);
    }
    for (flow, rate, port) in [(Flow::Up, RATE, 7100), (Flow::Down, 2.0 * RATE, 7101)] {
        let (to, at) = (
            format!("10.155.30.243:{port}"),
            format!("10.244.0.6:{port}"),
        );
        let by_dnat = Stream::open(outside(&net), &to, (&net.b, &at), flow);
        assert_near(bits_per_sec(&[&by_dnat], TIME), rate);
    }
}

#[test]
fn a_rate_changes_under_a_connection_that_stays() {
    let net = Net::new();
    let gateway = limited(&net, &E1);
    let faster = [
        "shape e1 2 10.155.30.241 32000000 32000000",
        "shape e1 2 2001:db8:1::e:1 32000000 32000000",
    ];
    for flow in [Flow::Up, Flow::Down] {
        let stream = to_e1(&net, true, flow);
        assert_near(bits_per_sec(&[&stream], TIME), RATE);
        let before = ["lan0", "eth1"].map(|interface| sent(&net, interface));
        let applied = gateway.apply(2, &with(&faster), true);
        assert_eq!((&applied.rejected, applied.flush), (&vec![], None));
        for (before, interface) in before.into_iter().zip(["lan0", "eth1"]) {
            assert!(
                before > 0 && sent(&net, interface) >= before,
                "a class of {interface} was made anew"
            );
        }
        assert_soon(&stream, 4.0 * RATE);
        gateway.apply(3, &with(&E1), true);
        assert_soon(&stream, RATE);
        gateway.apply(4, &RULES, true);
        until("it is free", || bits_per_sec(&[&stream], TIME / 4) > 100e6);
        for interface in ["lan0", "eth1"] {
            let left = output(&net.gw, &format!("tc qdisc show dev {interface}"));
            assert!(!left.contains("htb") && !left.contains("bfifo"), "{left}");
        }
        assert!(!output(&net.gw, "nft list ruleset").contains("shape"));
        gateway.apply(5, &with(&E1), true);
        assert_soon(&stream, RATE);
    }
}

#[test]
fn another_process_takes_the_classes_over_as_they_are() {
    let net = Net::new();
    let gateway = limited(&net, &E1);
    let stream = to_e1(&net, true, Flow::Down);
    assert_near(bits_per_sec(&[&stream], TIME), RATE);
    let before = ["lan0", "eth1"].map(|interface| sent(&net, interface));
    gateway.stop();
    let next = net.gateway(false);
    let applied = next.apply(1, &with(&E1), true);
    assert_eq!((applied.changed, applied.rejected), (0, vec![]));
    for (before, interface) in before.into_iter().zip(["lan0", "eth1"]) {
        assert!(before > 0 && sent(&net, interface) >= before, "{interface}");
    }
    assert_near(bits_per_sec(&[&stream], TIME), RATE);
    // And what it does not know goes.
    let applied = next.apply(2, &with(&["shape e2 1 10.155.30.242 8000000 -"]), true);
    assert_eq!(applied.rejected, []);
    assert_eq!(output(&net.gw, "tc class show dev eth1"), "");
    assert_eq!(output(&net.gw, "tc class show dev lan0").lines().count(), 1);
    next.with(|kernel| kernel.clear().unwrap());
    for interface in ["lan0", "eth1"] {
        let left = output(&net.gw, &format!("tc qdisc show dev {interface}"));
        assert!(!left.contains("htb"), "{left}");
    }
}

#[test]
fn what_others_do_to_classes_is_told_found_and_undone() {
    let net = Net::new();
    let gateway = limited(&net, &E1);
    let mut events = gateway.with(|kernel| kernel.events().unwrap());
    let shown = output(&net.gw, "tc class show dev eth1");
    let id = shown.split_whitespace().nth(2).unwrap().to_owned();
    let number = id.strip_prefix("5c1c:").unwrap();
    let tidy = |gateway: &Gateway| {
        gateway.with(|kernel: &mut Kernel| {
            let seen = kernel.inspect().unwrap();
            assert!(seen.unusable.is_empty(), "{:?}", seen.unusable);
            seen.drift
        })
    };
    assert_eq!(tidy(&gateway), Vec::<String>::new());
    for edit in [
        "tc qdisc del dev eth1 root".to_owned(),
        "tc qdisc del dev lan0 root".to_owned(),
        "tc qdisc replace dev eth1 root bfifo limit 100000".to_owned(),
        "tc qdisc replace dev eth1 root handle 1: htb".to_owned(),
        format!("tc class del dev eth1 classid {id}"),
        format!("tc class change dev eth1 parent 5c1c: classid {id} htb rate 1gbit quantum 60000"),
        "tc class add dev lan0 parent 5c1c: classid 5c1c:fffe htb rate 1gbit quantum 60000"
            .to_owned(),
        format!("tc qdisc del dev eth1 parent {id}"),
        format!("tc qdisc replace dev eth1 parent {id} pfifo limit 1"),
        format!("tc qdisc change dev eth1 parent {id} handle {number}: bfifo limit 10"),
    ] {
        while !events.wait(Duration::from_millis(50)).unwrap().is_empty() {}
        assert_eq!(output(&net.gw, &edit), "", "{edit}");
        let told = events.wait(Duration::from_secs(2)).unwrap();
        assert!(told.contains(&Event::Changed), "{edit}: {told:?}");
        assert_ne!(tidy(&gateway), Vec::<String>::new(), "{edit}");
        let mended = gateway.with(|kernel| kernel.repair().unwrap());
        assert!(mended.changed > 0 && !mended.rules, "{edit}: {mended:?}");
        assert_eq!(tidy(&gateway), Vec::<String>::new(), "{edit}");
        assert_eq!(output(&net.gw, "tc class show dev eth1"), shown, "{edit}");
        let again = gateway.apply(1, &with(&E1), true);
        assert_eq!(again.changed, 0, "{edit}");
    }
    // The agent's own changes are no news.
    while !events.wait(Duration::from_millis(50)).unwrap().is_empty() {}
    gateway.apply(2, &with(&["shape e1 2 10.155.30.241 9000000 -"]), true);
    let told = events.wait(Duration::from_millis(300)).unwrap();
    assert_eq!(told, []);
    // A class at another place.
    gateway.apply(3, &with(&E1), true);
    for edit in [
        format!("tc class del dev eth1 classid {id}"),
        "tc class add dev eth1 parent 5c1c: classid 5c1c:fffe htb rate 1gbit quantum 60000"
            .to_owned(),
        format!("tc class add dev eth1 parent 5c1c:fffe classid {id} htb rate 1gbit quantum 60000"),
    ] {
        assert_eq!(output(&net.gw, &edit), "");
    }
    assert_ne!(tidy(&gateway), Vec::<String>::new());
    gateway.with(|kernel| kernel.repair().unwrap());
    assert_eq!(tidy(&gateway), Vec::<String>::new());
    assert_near(bits_per_sec(&[&to_e1(&net, true, Flow::Down)], TIME), RATE);
}

#[test]
fn a_limit_that_the_kernel_does_not_take_is_refused_by_itself() {
    let net = Net::new();
    // Our HTB's name is another's.
    for edit in [
        "tc qdisc add dev eth1 root handle 1: htb",
        "tc class add dev eth1 parent 1: classid 1:1 htb rate 1gbit quantum 60000",
        "tc qdisc add dev eth1 parent 1:1 handle 5c1c: bfifo limit 100000",
    ] {
        assert_eq!(output(&net.gw, edit), "");
    }
    let gateway = net.gateway(false);
    let limits = [&E1[..], &["shape e2 1 10.155.30.242 8000000 -"]].concat();
    let applied = gateway.apply(1, &with(&limits), true);
    let rejected: Vec<&str> = applied.rejected.iter().map(|r| r.key.as_str()).collect();
    let keys = E1.map(|line| line.replacen("e1 1", "e1", 1));
    assert_eq!(rejected, keys);
    assert!(
        applied.rejected[0].error.contains("bandwidth: HTB on eth1"),
        "{applied:?}"
    );
    // Nothing of it is there, and the others go on: the EIP, its FIP, the limit of another.
    serve(&net.a, "10.244.0.5:7000");
    assert_eq!(ask(&net.client, "10.155.30.241:7000"), addr("10.155.30.9"));
    assert_eq!(output(&net.gw, "tc class show dev lan0").lines().count(), 1);
    let inspection = gateway.with(|kernel| kernel.inspect().unwrap());
    assert_eq!(inspection.drift, Vec::<String>::new());
    assert_eq!(output(&net.gw, "tc qdisc del dev eth1 root"), "");
    let applied = gateway.apply(1, &with(&limits), true);
    assert_eq!(applied.rejected, []);
    assert_near(bits_per_sec(&[&to_e1(&net, true, Flow::Down)], TIME), RATE);
}

#[test]
fn an_interface_that_comes_back_is_limited_again() {
    let net = Net::new();
    let gateway = limited(&net, &E1);
    let shown = output(&net.gw, "tc class show dev eth1");
    rig::ip(&format!("-n {} link set eth1 down", net.gw));
    gateway.with(|kernel| kernel.repair().unwrap());
    assert_eq!(output(&net.gw, "tc class show dev eth1"), shown);
    rig::ip(&format!("-n {} link del eth1", net.gw));
    let absent = gateway.apply(2, &with(&E1), true);
    assert_eq!(absent.rejected, []);
    rig::ip(&format!(
        "-n {} link add eth1 type veth peer name back netns {}",
        net.gw, net.switch
    ));
    let drift = gateway.with(|kernel| kernel.inspect().unwrap().drift);
    assert!(
        drift
            .iter()
            .any(|words| words == "HTB of eth1 is missing or another"),
        "{drift:?}"
    );
    gateway.with(|kernel| kernel.repair().unwrap());
    assert_eq!(output(&net.gw, "tc class show dev eth1"), shown);
}

#[test]
fn two_thousand_limits_apply_step_and_inspect() {
    let net = Net::new();
    let gateway = net.gateway(true);
    let lines = |count: u32, rate: u32| -> Vec<String> {
        let of_one = |i: u32| {
            let eip = std::net::Ipv4Addr::from(0x0a9b_2000 + i);
            [
                format!("addr e{i} 1 {eip} external"),
                format!("shape e{i} 1 {eip} {rate} {rate}"),
            ]
        };
        (0..count).flat_map(of_one).collect()
    };
    let apply = |generation, lines: &[String]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let snapshot = snapshot(settings(), &lines);
        let began = Instant::now();
        let applied = gateway.with(move |kernel| {
            kernel
                .apply(&snapshot, &revision(generation), true)
                .unwrap()
        });
        assert_eq!(applied.rejected, []);
        (applied.changed, began.elapsed())
    };
    let (_, full) = apply(1, &lines(2_000, 10_000_000));
    let (changed, step) = apply(2, &lines(2_001, 10_000_000));
    // Two classes and two queues, two elements; the address: own, held, answers and a local
    // route; one element of the stamp goes and comes, the digest's too.
    assert!(changed < 16, "{changed}");
    let began = Instant::now();
    let seen = gateway.with(|kernel| kernel.inspect().unwrap());
    let inspect = began.elapsed();
    assert_eq!(seen.drift, Vec::<String>::new());
    println!("2,000 limits: full {full:?}, one more {step:?}, inspect {inspect:?}");
    assert!(inspect < Duration::from_secs(2));
    let classes = output(&net.gw, "tc class show dev lan0").lines().count();
    assert_eq!(classes, 2_001);
}
