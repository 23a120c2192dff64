use super::*;
use crate::ovn::{Claim, NatKind};

fn place() -> Place {
    Place {
        gateway: "gw".into(),
        router: "r1".into(),
        gateway_port: RowId([7; 16]),
    }
}

fn compile(lines: &[&str]) -> Compiled {
    let entries: Vec<Entry> = lines
        .iter()
        .map(|line| line.parse().expect("an entry"))
        .collect();
    rows(&entries, &place())
}

/// One line a row: what OVN's tools would show.
fn lines(compiled: &Compiled) -> Vec<String> {
    let mut lines: Vec<String> = compiled
        .rows
        .values()
        .map(|row| match row {
            Row::Nat(nat) => format!("{} {} {}", nat.kind.word(), nat.external_ip, nat.logical_ip),
            Row::LoadBalancer(balancer) => {
                let vips: Vec<String> = balancer
                    .vips
                    .iter()
                    .map(|(vip, to)| format!("{vip}>{to}"))
                    .collect();
                format!("{} {}", balancer.protocol, vips.join(" "))
            }
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn each_entry_becomes_its_row() {
    for (entry, expected) in [
        ("addr e 1 192.0.2.1 external", vec![]),
        (
            "fip f 1 192.0.2.1 10.0.0.5 both",
            vec!["dnat_and_snat 192.0.2.1 10.0.0.5"],
        ),
        (
            "fip f 1 2001:db8::1 fd00::5 in",
            vec!["dnat 2001:db8::1 fd00::5"],
        ),
        (
            "snat s 1 10.0.0.0/24 192.0.2.1",
            vec!["snat 192.0.2.1 10.0.0.0/24"],
        ),
        (
            "snat s 1 fd00::5/128 2001:db8::1",
            vec!["snat 2001:db8::1 fd00::5"],
        ),
        (
            "dnat d 1 192.0.2.1 tcp 80 10.0.0.5 8080",
            vec!["tcp 192.0.2.1:80>10.0.0.5:8080"],
        ),
        (
            "dnat d 1 2001:db8::1 udp 53 fd00::5,fd00::6 53",
            vec!["udp [2001:db8::1]:53>[fd00::5]:53,[fd00::6]:53"],
        ),
        (
            "dnat d 1 192.0.2.1 sctp 80-81 10.0.0.5 90-91",
            vec!["sctp 192.0.2.1:80>10.0.0.5:90 192.0.2.1:81>10.0.0.5:91"],
        ),
    ] {
        let compiled = compile(&[entry]);
        assert_eq!(lines(&compiled), expected, "{entry}");
        assert!(compiled.refused.is_empty(), "{entry}");
    }
}

#[test]
fn what_ovn_cannot_do_is_refused_by_its_reason_and_holds_nothing_else() {
    for (entry, expected) in [
        ("shape e 1 192.0.2.1 1000000 -", Refused::Bandwidth),
        (
            "snat s 1 10.0.0.0/24 192.0.2.1 100",
            Refused::PortsPerSource,
        ),
        ("dnat d 1 192.0.2.1 tcp * 10.0.0.5 *", Refused::AllPorts),
        (
            "dnat d 1 192.0.2.1 tcp 1-1025 10.0.0.5 1-1025",
            Refused::TooManyPorts(1025),
        ),
        (
            "dnat d 1 192.0.2.1 tcp 80 10.0.0.5,10.0.0.6=2 80",
            Refused::Weights,
        ),
        (
            "dnat d 1 192.0.2.1 tcp 80 10.0.0.5,10.0.0.6=0 80",
            Refused::Weights,
        ),
    ] {
        let compiled = compile(&[entry, "fip f 1 192.0.2.2 10.0.0.7 both"]);
        let key = entry.parse::<Entry>().expect("an entry").key();
        assert_eq!(compiled.refused, [(key, expected)].into(), "{entry}");
        assert_eq!(compiled.rows.len(), 1, "{entry}");
    }
}

#[test]
fn of_several_eips_for_one_prefix_one_is_used() {
    let compiled = compile(&[
        "snat s 1 10.0.0.0/24 192.0.2.2",
        "snat s 1 10.0.0.0/24 192.0.2.1",
        "snat s 1 10.0.1.0/24 192.0.2.2",
    ]);
    assert_eq!(
        lines(&compiled),
        ["snat 192.0.2.1 10.0.0.0/24", "snat 192.0.2.2 10.0.1.0/24"]
    );
    let refused: Vec<&Refused> = compiled.refused.values().collect();
    let winner = "192.0.2.1".parse().expect("an address");
    assert_eq!(
        refused,
        [&Refused::Pool {
            source_prefix: "10.0.0.0/24".into(),
            winner
        }]
    );
}

#[test]
fn rows_say_whose_they_are_and_of_which_revision() {
    let entry = "fip f 3 192.0.2.1 10.0.0.5 both";
    let compiled = compile(&[entry]);
    let row = compiled.rows.values().next().expect("a row");
    let ids = row.external_ids();
    assert_eq!(ids[ids::GATEWAY], "gw");
    assert_eq!(ids[ids::OWNER], "f");
    assert_eq!(ids[ids::GENERATION], "3");
    assert_eq!(
        ids[ids::DIGEST],
        entry
            .parse::<Entry>()
            .expect("an entry")
            .digest()
            .to_string()
    );
}

#[test]
fn a_rows_identity_outlives_generations_and_differs_between_gateways_and_routers() {
    let id = |line: &str, place: &Place| {
        let entry: Entry = line.parse().expect("an entry");
        rows([&entry], place)
            .rows
            .into_keys()
            .next()
            .expect("a row")
    };
    let fip = id("fip f 1 192.0.2.1 10.0.0.5 both", &place());
    assert_eq!(fip, id("fip f 2 192.0.2.1 10.0.0.5 both", &place()));
    assert_ne!(fip, id("fip f 1 192.0.2.1 10.0.0.6 both", &place()));
    assert_ne!(
        fip,
        id(
            "fip f 1 192.0.2.1 10.0.0.5 both",
            &Place {
                gateway: "other".into(),
                ..place()
            }
        )
    );
    assert_ne!(
        fip,
        id(
            "fip f 1 192.0.2.1 10.0.0.5 both",
            &Place {
                router: "r2".into(),
                ..place()
            }
        )
    );
    let text = fip.to_string();
    assert_eq!((text.len(), &text[14..15]), (36, "8"));
}

#[test]
fn the_order_of_entries_does_not_matter() {
    let lines = [
        "snat s 1 10.0.0.0/24 192.0.2.2",
        "snat s 1 10.0.0.0/24 192.0.2.1",
        "fip f 1 192.0.2.1 10.0.0.5 both",
        "dnat d 1 192.0.2.1 tcp 80 10.0.0.5 8080",
    ];
    let mut reversed = lines;
    reversed.reverse();
    assert_eq!(compile(&lines), compile(&reversed));
}

#[test]
fn rows_of_others_are_left_alone_and_what_is_against_them_is_refused() {
    let foreign = |claim| Foreign {
        id: RowId([1; 16]),
        claim,
    };
    let nat = |kind, external: &str, logical: &str| {
        foreign(Claim::Nat {
            kind,
            external_ip: external.parse().expect("an address"),
            logical_ip: logical.to_owned(),
        })
    };
    let vips = |vip: &str| foreign(Claim::Vips([vip.to_owned()].into()));
    let all = [
        "fip f 1 192.0.2.1 10.0.0.5 both",
        "snat s 1 10.0.0.0/24 192.0.2.2",
        "dnat d 1 192.0.2.3 tcp 80 10.0.0.5 8080",
    ];
    for (other, against) in [
        (
            nat(NatKind::DnatAndSnat, "192.0.2.1", "10.0.0.9"),
            Some("fip"),
        ),
        (nat(NatKind::Dnat, "192.0.2.1", "10.0.0.9"), Some("fip")),
        (nat(NatKind::Snat, "192.0.2.9", "10.0.0.5"), Some("fip")),
        (nat(NatKind::Snat, "192.0.2.9", "10.0.0.0/24"), Some("snat")),
        (vips("192.0.2.3:80"), Some("dnat")),
        // Side by side.
        (nat(NatKind::Snat, "192.0.2.1", "10.0.9.0/24"), None),
        (nat(NatKind::Dnat, "192.0.2.9", "10.0.0.5"), None),
        (vips("192.0.2.3:81"), None),
    ] {
        let compiled = compile(&all).beside(std::slice::from_ref(&other));
        let refused: Vec<(&str, &Refused)> = compiled
            .refused
            .iter()
            .map(|(key, why)| (key.split(' ').next().expect("a word"), why))
            .collect();
        let expected: Vec<_> = against
            .iter()
            .map(|word| (*word, &Refused::Foreign(RowId([1; 16]))))
            .collect();
        assert_eq!(refused, expected, "{other:?}");
        assert_eq!(compiled.rows.len() + refused.len(), 3, "{other:?}");
    }
}
