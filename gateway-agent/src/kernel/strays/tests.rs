#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use nfnetlink::conntrack::{FlowStatus, L4, Tuple};
use sluice_core::entry::Entry;
use sluice_core::identity::{Revision, Uid};

use super::super::Flush;
use super::super::report::Stamp;
use super::super::ruleset::{LAN_MARK, build};
use super::super::settings::{Uplink, Watch};
use super::*;

const RULES: [&str; 26] = [
    "addr e1 1 192.0.2.1 one",
    "addr e2 1 192.0.2.2 one",
    "addr e3 1 192.0.2.3 one",
    "addr e4 1 192.0.2.4 one",
    "addr e5 1 192.0.2.5 one",
    "addr e6 1 192.0.2.6 one",
    "addr e1 1 2001:db8::1 one",
    "addr e2 1 2001:db8::2 one",
    "addr e3 1 2001:db8::3 one",
    "fip f1 1 192.0.2.1 10.244.0.5 both",
    "fip f1 1 2001:db8::1 fd00::5 both",
    "fip f6 1 192.0.2.6 10.244.0.5 in",
    "dnat d1 1 192.0.2.2 tcp 8080 10.244.0.6 80",
    "dnat d2 1 192.0.2.2 udp 1000-1200 10.244.0.6 1000-1200",
    "dnat d3 1 192.0.2.2 udp 2000 10.244.0.7 2000",
    "dnat d4 1 192.0.2.3 udp * 10.244.0.8 *",
    "dnat d5 1 2001:db8::2 tcp 443 fd00::6 8443",
    "dnat d6 1 192.0.2.3 tcp 80 10.244.0.6=2,10.244.0.7,10.244.0.8=0 8080",
    "dnat d7 1 192.0.2.3 sctp 1000-1999 10.244.0.6,10.244.0.7 1000-1999",
    "dnat d8 1 192.0.2.2 sctp * 10.244.0.6,10.244.0.7 *",
    "dnat d9 1 2001:db8::2 udp 53 fd00::6,fd00::7=0 53",
    "snat s1 1 10.244.0.0/16 192.0.2.3",
    "snat s2 1 10.244.9.0/24 192.0.2.4",
    "snat s2 1 10.244.9.0/24 192.0.2.5",
    "snat s3 1 10.244.9.9/32 192.0.2.2",
    "snat s4 1 fd00::/64 2001:db8::3",
];

fn options() -> KernelOptions {
    KernelOptions {
        pod_addresses: vec!["10.250.0.2".parse().unwrap()],
        ..KernelOptions::default()
    }
}

fn table(settings: &Settings, rules: &[&str]) -> Arc<TableContent> {
    let entries: Vec<Entry> = rules.iter().map(|line| line.parse().unwrap()).collect();
    let stamp = Stamp {
        revision: Revision {
            uid: Uid::new("uid"),
            generation: 1,
        },
        digest: String::new(),
        holding: true,
    };
    let entries: Vec<&Entry> = entries.iter().collect();
    let built = build(settings, &entries, &options(), &stamp, &BTreeMap::new());
    built.ruleset.inet
}

fn translations(settings: &Settings) -> Translations {
    Translations::new(&table(settings, &RULES), settings, &options())
}

fn settings(lan_addresses: &[&str]) -> Settings {
    Settings {
        lan: "lan0".into(),
        lan_addresses: lan_addresses.iter().map(|a| a.parse().unwrap()).collect(),
        lan_routes: vec![],
        uplinks: vec![Uplink {
            name: "one".into(),
            interface: "eth1".into(),
            number: 1,
            subnets: vec![],
            ipv4: None,
            ipv6: None,
        }],
        ping_eips: true,
        mss_clamp: None,
        mtus: BTreeMap::new(),
        flow_log: false,
        watch: Watch {
            repair: true,
            probe_ms: 2_000,
        },
        nodes: BTreeMap::new(),
    }
}

/// A flow by its mark, protocol and tuples: `outside tcp SRC>DST REPLY_SRC>REPLY_DST`;
/// without ports for a ping. Marks are those of a packet that came from `outside` by
/// uplink 1, from `inside` to go out by uplink 1, from `within` to go out by none, from
/// inside back to the LAN (`hairpin`), or `unmarked`.
fn flow(text: &str) -> Flow {
    let [mark, proto, orig, reply] = text.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{text}");
    };
    let mark = match mark {
        "outside" => FROM_OUTSIDE | 1,
        "inside" => FROM_INSIDE | 1,
        "within" => FROM_INSIDE,
        "hairpin" => FROM_INSIDE | LAN_MARK,
        "unmarked" => 0,
        other => panic!("{other}"),
    };
    let tuple = |text: &str| {
        let (src, dst) = text.split_once('>').unwrap();
        if proto == "ping" {
            return Tuple {
                src: src.parse().unwrap(),
                dst: dst.parse().unwrap(),
                proto: 1,
                l4: L4::Icmp {
                    kind: 8,
                    code: 0,
                    id: 7,
                },
                zone: None,
            };
        }
        let [src, dst] = [src, dst].map(|s| s.parse::<SocketAddr>().unwrap());
        Tuple {
            src: src.ip(),
            dst: dst.ip(),
            proto: match proto {
                "tcp" => 6,
                "sctp" => 132,
                "udp" => 17,
                other => panic!("{other}"),
            },
            l4: L4::Ports {
                src: src.port(),
                dst: dst.port(),
            },
            zone: None,
        }
    };
    Flow {
        orig: tuple(orig),
        reply: tuple(reply),
        status: FlowStatus::default(),
        mark,
        timeout_secs: Some(60),
        zone: 0,
        id: 1,
        tcp_state: None,
        orig_counters: None,
        reply_counters: None,
    }
}

/// What the rules would make as it is.
const AGREE: &str = "\
outside tcp 9.9.9.9:50>192.0.2.1:80 10.244.0.5:80>9.9.9.9:50  # FIP in
outside tcp 9.9.9.9:50>192.0.2.6:80 10.244.0.5:80>9.9.9.9:50  # second FIP in
outside ping 9.9.9.9>192.0.2.1 10.244.0.5>9.9.9.9  # ping through a FIP
outside ping 9.9.9.9>192.0.2.2 192.0.2.2>9.9.9.9  # ping to an EIP without a FIP
outside tcp [2001::9]:50>[2001:db8::1]:80 [fd00::5]:80>[2001::9]:50  # FIP in, IPv6
outside tcp 9.9.9.9:50>192.0.2.2:8080 10.244.0.6:80>9.9.9.9:50  # DNAT
outside tcp 9.9.9.9:50>192.0.2.2:8080 10.244.0.6:80>9.9.9.9:61  # DNAT, client's port changed
outside tcp [2001::9]:50>[2001:db8::2]:443 [fd00::6]:8443>[2001::9]:50  # DNAT, IPv6
outside udp 9.9.9.9:50>192.0.2.2:1000 10.244.0.6:1000>9.9.9.9:50  # first port of a range
outside udp 9.9.9.9:50>192.0.2.2:1200 10.244.0.6:1200>9.9.9.9:50  # last port of a range
outside udp 9.9.9.9:50>192.0.2.2:2000 10.244.0.7:2000>9.9.9.9:50  # port beside a range
outside udp 9.9.9.9:50>192.0.2.3:5 10.244.0.8:5>9.9.9.9:50  # all ports
outside tcp 9.9.9.9:50>192.0.2.3:80 10.244.0.6:8080>9.9.9.9:50  # one of several targets
outside tcp 9.9.9.9:50>192.0.2.3:80 10.244.0.7:8080>9.9.9.9:50  # the other one
outside tcp 9.9.9.9:50>192.0.2.3:80 10.244.0.8:8080>9.9.9.9:50  # a drained one
outside sctp 9.9.9.9:50>192.0.2.3:1999 10.244.0.7:1999>9.9.9.9:50  # a range of several
outside sctp 9.9.9.9:50>192.0.2.2:7 10.244.0.6:7>9.9.9.9:50  # all ports of several
outside udp [2001::9]:50>[2001:db8::2]:53 [fd00::7]:53>[2001::9]:50  # a drained one, IPv6
hairpin tcp 10.244.0.6:50>192.0.2.3:80 10.244.0.7:8080>10.244.0.254:50  # hairpin to one of several
inside tcp 10.244.0.5:50>9.9.9.9:80 9.9.9.9:80>192.0.2.1:50  # FIP out
inside tcp 10.244.0.5:50>9.9.9.9:80 9.9.9.9:80>192.0.2.1:1024  # FIP out, port changed
inside ping 10.244.0.5>9.9.9.9 9.9.9.9>192.0.2.1  # ping out by FIP
inside tcp [fd00::5]:50>[2001::9]:80 [2001::9]:80>[2001:db8::1]:50  # FIP out, IPv6
inside tcp 10.244.0.6:50>9.9.9.9:80 9.9.9.9:80>192.0.2.3:50  # SNAT
inside tcp [fd00::6]:50>[2001::9]:80 [2001::9]:80>[2001:db8::3]:50  # SNAT, IPv6
inside tcp 10.244.9.1:50>9.9.9.9:80 9.9.9.9:80>192.0.2.4:50  # one EIP of a pool
inside tcp 10.244.9.1:50>9.9.9.9:80 9.9.9.9:80>192.0.2.5:50  # the other EIP of a pool
inside tcp 10.244.9.9:50>9.9.9.9:80 9.9.9.9:80>192.0.2.2:50  # longest prefix
hairpin tcp 10.244.0.5:50>192.0.2.2:8080 10.244.0.6:80>192.0.2.1:50  # hairpin by FIP
hairpin tcp 10.244.0.6:50>192.0.2.1:80 10.244.0.5:80>10.244.0.254:50  # hairpin by the LAN's address
within ping 10.244.0.6>10.244.0.254 10.244.0.254>10.244.0.6  # ping to the next hop
inside ping 10.244.0.6>192.0.2.2 192.0.2.2>10.244.0.6  # inside ping to an EIP without a FIP
within tcp 172.16.0.1:50>9.9.9.9:80 9.9.9.9:80>172.16.0.1:50  # a source without a rule
unmarked tcp 10.250.0.2:50>10.96.0.1:443 10.96.0.1:443>10.250.0.2:50  # the agent's own
unmarked tcp 10.244.0.254:50>10.244.0.6:80 10.244.0.6:80>10.244.0.254:50  # this host's own on the LAN
unmarked tcp 172.16.0.1:50>172.16.0.2:80 127.0.0.1:15001>172.16.0.1:50  # another program's
inside tcp 10.244.9.1:50>9.9.9.9:80 9.9.9.9:80>192.0.2.3:50  # SNAT from before a longer prefix
";

/// What a rule would make otherwise, or not at all.
const CONTRADICT: &str = "\
inside tcp 10.244.9.1:50>9.9.9.9:80 9.9.9.9:80>192.0.2.2:50  # SNAT of another source
outside tcp 9.9.9.9:50>192.0.2.1:80 10.244.0.77:80>9.9.9.9:50  # FIP with another target
outside tcp 9.9.9.9:50>192.0.2.99:80 10.244.0.5:80>9.9.9.9:50  # FIP and EIP removed
outside tcp 9.9.9.9:50>192.0.2.2:80 10.244.0.5:80>9.9.9.9:50  # FIP removed
outside ping 9.9.9.9>192.0.2.1 192.0.2.1>9.9.9.9  # ping from before the FIP
outside ping 9.9.9.9>192.0.2.2 10.244.0.6>9.9.9.9  # ping through a removed FIP
outside tcp [2001::9]:50>[2001:db8::1]:80 [fd00::7]:80>[2001::9]:50  # FIP with another target, IPv6
outside tcp 9.9.9.9:50>192.0.2.2:8080 10.244.0.7:80>9.9.9.9:50  # DNAT to another target
outside tcp 9.9.9.9:50>192.0.2.2:8080 10.244.0.6:81>9.9.9.9:50  # DNAT to another port
outside udp 9.9.9.9:50>192.0.2.2:8080 10.244.0.6:80>9.9.9.9:50  # DNAT of another protocol
outside udp 9.9.9.9:50>192.0.2.2:999 10.244.0.6:999>9.9.9.9:50  # below a range
outside udp 9.9.9.9:50>192.0.2.2:1201 10.244.0.6:1201>9.9.9.9:50  # above a range
outside udp 9.9.9.9:50>192.0.2.2:1100 10.244.0.7:1100>9.9.9.9:50  # range to another target
outside tcp 9.9.9.9:50>192.0.2.3:5 10.244.0.8:5>9.9.9.9:50  # all ports of another protocol
outside tcp 9.9.9.9:50>192.0.2.3:80 10.244.0.9:8080>9.9.9.9:50  # none of several targets
outside tcp 9.9.9.9:50>192.0.2.3:80 10.244.0.7:80>9.9.9.9:50  # one of several, another port
outside sctp 9.9.9.9:50>192.0.2.3:2000 10.244.0.7:2000>9.9.9.9:50  # above a range of several
outside udp [2001::9]:50>[2001:db8::2]:53 [fd00::8]:53>[2001::9]:50  # none of several, IPv6
inside tcp 10.244.0.5:50>9.9.9.9:80 9.9.9.9:80>192.0.2.3:50  # SNAT from before the FIP
inside tcp 10.244.0.6:50>9.9.9.9:80 9.9.9.9:80>192.0.2.1:50  # FIP out removed
inside tcp 10.244.0.6:50>9.9.9.9:80 9.9.9.9:80>192.0.2.99:50  # SNAT by a removed EIP
inside tcp 172.16.0.1:50>9.9.9.9:80 9.9.9.9:80>192.0.2.3:50  # SNAT removed
inside tcp [fd00::6]:50>[2001::9]:80 [2001::9]:80>[2001:db8::1]:50  # FIP out removed, IPv6
hairpin tcp 10.244.0.6:50>192.0.2.1:80 10.244.0.5:80>192.0.2.1:50  # hairpin by a removed FIP
hairpin tcp 10.244.0.5:50>192.0.2.2:8080 10.244.0.6:80>10.244.0.254:50  # hairpin from before the FIP
unmarked udp 10.244.0.6:50>9.9.9.9:53 9.9.9.9:53>10.244.0.6:50  # untranslated from before the rules
unmarked udp 9.9.9.9:50>192.0.2.3:53 192.0.2.3:53>9.9.9.9:50  # to an EIP from before the rules
inside udp 10.244.0.6:50>9.9.9.9:53 9.9.9.9:53>10.244.0.6:50  # never translated
";

/// A table's flows, and what each is.
fn flows(table: &'static str) -> impl Iterator<Item = (&'static str, Flow)> {
    table.lines().map(|line| {
        let (text, _) = line.split_once("  # ").unwrap();
        (line, flow(text))
    })
}

#[test]
fn flows_that_the_rules_would_make_anew_as_they_are_stay() {
    let rules = translations(&settings(&["10.244.0.254/16", "fd00::fe/64"]));
    for (line, flow) in flows(AGREE) {
        assert!(!rules.is_stray(&flow), "{line}");
    }
}

#[test]
fn flows_that_contradict_the_rules_are_strays() {
    let rules = translations(&settings(&["10.244.0.254/16", "fd00::fe/64"]));
    for (line, flow) in flows(CONTRADICT) {
        assert!(rules.is_stray(&flow), "{line}");
    }
}

#[test]
fn a_lan_without_an_address_of_ours_masquerades_by_any() {
    let rules = translations(&settings(&[]));
    let hairpin = "hairpin tcp 10.244.0.6:50>192.0.2.1:80 10.244.0.5:80>10.244.3.3:50";
    assert!(!rules.is_stray(&flow(hairpin)));
    // A client with a FIP shows that all the same.
    let by_fip = "hairpin tcp 10.244.0.5:50>192.0.2.2:8080 10.244.0.6:80>10.244.3.3:50";
    assert!(rules.is_stray(&flow(by_fip)));
}

/// What one change of the rules makes a stray is what is flushed for that change, so that a
/// restart cuts nothing that a change had left alone.
#[test]
fn whatever_a_change_makes_a_stray_its_flush_names() {
    let settings = settings(&["10.244.0.254/16", "fd00::fe/64"]);
    let mut changes: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    let one = (0..RULES.len()).map(|at| at..at + 1);
    // Two in a row are also both EIPs of a pool.
    let two = (1..RULES.len()).map(|at| at - 1..at + 1);
    for lines in one.chain(two) {
        let mut without = RULES.to_vec();
        without.drain(lines);
        changes.push((RULES.to_vec(), without.clone()));
        changes.push((without, RULES.to_vec()));
    }
    for (old, new) in [
        (
            "fip f1 1 192.0.2.1 10.244.0.5 both",
            "fip f1 2 192.0.2.1 10.244.0.77 both",
        ),
        (
            "dnat d1 1 192.0.2.2 tcp 8080 10.244.0.6 80",
            "dnat d1 2 192.0.2.2 tcp 8080 10.244.0.6 81",
        ),
        (
            "dnat d4 1 192.0.2.3 udp * 10.244.0.8 *",
            "dnat d4 2 192.0.2.3 udp 5 10.244.0.9 5",
        ),
        (
            "dnat d6 1 192.0.2.3 tcp 80 10.244.0.6=2,10.244.0.7,10.244.0.8=0 8080",
            "dnat d6 2 192.0.2.3 tcp 80 10.244.0.6,10.244.0.9 8080",
        ),
        (
            "dnat d6 1 192.0.2.3 tcp 80 10.244.0.6=2,10.244.0.7,10.244.0.8=0 8080",
            "dnat d6 2 192.0.2.3 tcp 80-81 10.244.0.7 8080-8081",
        ),
        (
            "dnat d7 1 192.0.2.3 sctp 1000-1999 10.244.0.6,10.244.0.7 1000-1999",
            "dnat d7 2 192.0.2.3 sctp 1500-1999 10.244.0.6 1500-1999",
        ),
        (
            "dnat d8 1 192.0.2.2 sctp * 10.244.0.6,10.244.0.7 *",
            "dnat d8 2 192.0.2.2 sctp 7 10.244.0.7 7",
        ),
        (
            "snat s1 1 10.244.0.0/16 192.0.2.3",
            "snat s1 2 10.244.0.0/16 192.0.2.5",
        ),
        (
            "snat s2 1 10.244.9.0/24 192.0.2.4",
            "snat s2 2 10.244.9.0/24 192.0.2.2",
        ),
    ] {
        let changed = RULES
            .iter()
            .map(|line| if *line == old { new } else { *line });
        changes.push((RULES.to_vec(), changed.collect()));
    }
    // Untranslated from inside to outside nothing is let out: such flows are from before.
    let of_rules =
        |(line, flow): &(&str, Flow)| flow.mark != 0 && !line.ends_with("never translated");
    let flows: Vec<_> = flows(AGREE)
        .chain(flows(CONTRADICT))
        .filter(of_rules)
        .collect();
    let mut became = 0;
    for (old, new) in changes {
        let tables = [old, new].map(|rules| table(&settings, &rules));
        let [before, after] = tables
            .each_ref()
            .map(|t| Translations::new(t, &settings, &options()));
        let flush = Flush::between(Some(&tables[0]), &tables[1], &tables[1]);
        for (line, flow) in &flows {
            if !before.is_stray(flow) && after.is_stray(flow) {
                became += 1;
                assert!(flush.matches(flow), "{line} is not in {flush:?}");
            }
        }
    }
    assert!(became > 40, "{became}");
}
