//! Many entries: bad ones among them, and how long they take.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rig::{Net, addr, ask, ask_tcp, serve};

fn fips(count: u32) -> Vec<String> {
    (0..count)
        .flat_map(|i| {
            let eip = std::net::Ipv4Addr::from(0x0a9b_2000 + i);
            let inside = std::net::Ipv4Addr::from(0x0af4_0100 + i);
            [
                format!("addr e{i} 1 {eip} external"),
                format!("fip f{i} 1 {eip} {inside} both"),
            ]
        })
        .collect()
}

fn refs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

#[test]
fn ten_thousand_fips_apply_step_and_inspect() {
    let net = Net::new();
    for count in [1_000, 10_000] {
        let gateway = net.gateway(true);
        let mut lines = fips(count);
        let began = Instant::now();
        let applied = gateway.apply(1, &refs(&lines), true);
        let full = began.elapsed();
        assert_eq!(applied.rejected, []);
        lines.extend([
            "addr x 1 10.155.30.250 external".to_owned(),
            "fip y 1 10.155.30.250 10.244.0.5 both".to_owned(),
        ]);
        let began = Instant::now();
        let one = gateway.apply(2, &refs(&lines), true);
        let step = began.elapsed();
        // own, held, answers, fipin, fipout, fipmark; a local route; one element of the stamp
        // goes and comes, the digest's too.
        assert!(one.changed < 16, "{}", one.changed);
        let began = Instant::now();
        let seen = gateway.with(|kernel| kernel.inspect().unwrap());
        let inspect = began.elapsed();
        assert_eq!(seen.drift, Vec::<String>::new());
        assert_eq!(seen.unusable, []);
        let all = gateway.with(|kernel| kernel.addresses());
        let began = Instant::now();
        gateway.with(move |kernel| kernel.announce(&all[..1_000]).unwrap());
        let announce = began.elapsed();
        println!(
            "{count} FIPs: full {full:?}, one more {step:?}, inspect {inspect:?}, 1,000 announced {announce:?}"
        );
        assert!(inspect < Duration::from_secs(5));
        gateway.with(|kernel| kernel.clear().unwrap());
    }
}

#[test]
fn a_bad_entry_is_left_out_with_what_needs_it_and_stops_no_other() {
    let net = Net::new();
    let gateway = net.gateway(true);
    let entries = [
        "addr e1 1 10.155.30.241 external",
        "fip f1 1 10.155.30.241 10.244.0.5 both",
        "addr e2 1 10.155.30.242 nowhere",
        "fip f2 1 10.155.30.242 10.244.0.6 both",
        "addr e3 1 127.0.0.1 external",
        "addr e4 1 ::ffff:10.155.30.243 external",
        "dnat d1 1 10.155.30.241 tcp 80 10.244.0.6 80",
        "addr e5 1 10.155.30.245 external",
        // Ranges that overlap: the kernel refuses the second.
        "dnat d2 1 10.155.30.245 tcp 1000-2000 10.244.0.6 1000-2000",
        "dnat d3 1 10.155.30.245 tcp 1500-2500 10.244.0.7 1500-2500",
        "snat s1 1 10.244.0.0/16 10.155.30.249",
    ];
    let applied = gateway.apply(1, &entries, true);
    let rejected: Vec<&str> = applied.rejected.iter().map(|r| r.key.as_str()).collect();
    let refused = [2, 3, 4, 5, 6, 9, 10].map(|i: usize| {
        entries[i]
            .parse::<sluice_core::entry::Entry>()
            .unwrap()
            .key()
    });
    assert_eq!(rejected, refused, "{:#?}", applied.rejected);
    serve(&net.a, "10.244.0.5:7000");
    assert_eq!(ask(&net.client, "10.155.30.241:7000"), addr("10.155.30.9"));
    let again = gateway.apply(1, &entries, true);
    assert_eq!((again.changed, again.rejected.len()), (0, 7));
}

#[test]
fn ten_thousand_fips_are_replaced_while_others_begin_connections() {
    let net = Net::new();
    let gateway = net.gateway(true);
    let other = [
        "addr x 1 10.155.30.250 external".to_owned(),
        "fip y 1 10.155.30.250 10.244.0.5 both".to_owned(),
    ];
    let config = |generation: u32| -> Vec<String> {
        let (n, shift) = (10_000, generation * 37);
        let targets = |i: u32| std::net::Ipv4Addr::from(0x0af4_0100 + (i + shift) % n);
        let moved = fips(n).into_iter().map(move |line| {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["fip", uid, _, eip, ..] => {
                    let i: u32 = uid[1..].parse().unwrap();
                    format!("fip {uid} {generation} {eip} {} both", targets(i))
                }
                _ => line,
            }
        });
        moved.chain(other.clone()).collect()
    };
    gateway.apply(1, &refs(&config(1)), true);
    serve(&net.a, "10.244.0.5:7000");
    assert_eq!(ask(&net.client, "10.155.30.250:7000"), addr("10.155.30.9"));
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (client, stop) = (net.client.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let (mut begun, mut failed) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                begun += 1;
                failed += u32::from(ask_tcp(&client, "10.155.30.250:7000").is_none());
            }
            (begun, failed)
        })
    };
    let mut during = 0;
    for generation in 2..5 {
        let applied = gateway.apply(generation.into(), &refs(&config(generation)), true);
        assert_eq!(applied.rejected, []);
        assert!(applied.changed >= 40_000, "{}", applied.changed);
        during += 1;
    }
    stop.store(true, Ordering::Relaxed);
    let (begun, failed) = load.join().unwrap();
    println!("{begun} connections begun while 10,000 FIPs were replaced {during} times");
    assert!(begun > 20, "{begun}");
    assert_eq!(failed, 0, "of {begun}");
    // The last config is the one in force.
    let seen = gateway.with(|kernel| kernel.inspect().unwrap());
    assert_eq!(seen.drift, Vec::<String>::new());
    gateway.with(|kernel| kernel.clear().unwrap());
}
