use proptest::prelude::*;

use super::*;

const GOOD: [&str; 13] = [
    "addr u1 1 10.155.30.200 external",
    "addr u1 1 2001:db8:1::e:0 external",
    "fip u2 3 10.155.30.200 10.244.0.5 both",
    "fip u2 3 2001:db8:1::e:0 fd00:10:244::5 in",
    "dnat u3 1 10.155.30.201 tcp 8000-8099 10.244.0.5 9000-9099",
    "dnat u3 1 10.155.30.201 sctp * 10.244.0.5 *",
    "dnat u3 1 10.155.30.201 udp 53 10.244.0.5,10.244.0.6=2,10.244.0.7=0 5353",
    "dnat u3 1 2001:db8:1::e:0 tcp 80 fd00::5,fd00::a=3 80",
    "snat u4 2 10.244.0.0/24 10.155.30.202",
    "snat u4 2 10.244.0.0/24 10.155.30.202 100",
    "shape u1 1 10.155.30.200 10000000 -",
    "shape u1 1 2001:db8:1::e:0 - 1000000000000",
    "shape u5 7 10.155.30.203 10000 20000",
];

#[test]
fn an_entry_survives_its_text_form() {
    for line in GOOD {
        let entry: Entry = line.parse().unwrap();
        assert_eq!(entry.to_string(), line);
    }
}

#[test]
fn the_key_is_the_line_without_its_generation() {
    let entry: Entry = GOOD[2].parse().unwrap();
    assert_eq!(entry.key(), "fip u2 10.155.30.200 10.244.0.5 both");
}

#[test]
fn what_is_not_canonical_is_refused() {
    for line in [
        "",
        "addr u1 1 10.155.30.200",
        "addr u1 1 10.155.30.200 external ",
        "addr u1 01 10.155.30.200 external",
        "addr  1 10.155.30.200 external",
        "addr u1 1 2001:DB8:1::1 external",
        "fip u2 3 10.155.30.200 fd00::5 both",
        "fip u2 3 10.155.30.200 10.244.0.5 out",
        "dnat u3 1 10.155.30.201 tcp 8000-8099 10.244.0.5 9000-9098",
        "dnat u3 1 10.155.30.201 dccp 80 10.244.0.5 80",
        "dnat u3 1 10.155.30.201 tcp 1-65535 10.244.0.5 1-65535",
        "dnat u3 1 10.155.30.201 tcp * 10.244.0.5 80",
        "dnat u3 1 10.155.30.201 tcp 80 10.244.0.6,10.244.0.5 80",
        "dnat u3 1 10.155.30.201 tcp 80 10.244.0.5,10.244.0.5 80",
        "dnat u3 1 10.155.30.201 tcp 80 10.244.0.5,fd00::5 80",
        "dnat u3 1 10.155.30.201 tcp 80 10.244.0.5=1 80",
        "dnat u3 1 10.155.30.201 tcp 80 10.244.0.5=2 80",
        "dnat u3 1 10.155.30.201 tcp 80 10.244.0.5=2,10.244.0.6=2 80",
        "dnat u3 1 10.155.30.201 tcp 80 10.244.0.5=0,10.244.0.6=0 80",
        "dnat u3 1 10.155.30.201 tcp 80 10.244.0.5=101,10.244.0.6 80",
        "dnat u3 1 10.155.30.201 tcp 80 10.244.0.5, 80",
        "dnat u3 1 10.155.30.201 tcp 80 10.244.0.5=+2,10.244.0.6 80",
        "dnat u3 1 10.155.30.201 tcp 080 10.244.0.5 80",
        "dnat u3 1 10.155.30.201 tcp 80-80 10.244.0.5 80",
        "snat u4 2 10.244.0.1/24 10.155.30.202",
        "snat u4 2 10.244.0.0/24 2001:db8::1",
        "snat u4 2 10.244.0.0/24 10.155.30.202 0",
        "snat u4 2 10.244.0.0/24 10.155.30.202 0100",
        "snat u4 2 10.244.0.0/24 10.155.30.202 65536",
        "snat u4 2 10.244.0.0/24 10.155.30.202 10 10",
        "shape u1 1 10.155.30.200 - -",
        "shape u1 1 10.155.30.200 10M -",
        "shape u1 1 10.155.30.200 9999 -",
        "shape u1 1 10.155.30.200 010000 -",
        "shape u1 1 10.155.30.200 +10000 -",
        "shape u1 1 10.155.30.200 - 1000000000001",
        "shape u1 1 10.155.30.200 10000",
    ] {
        assert!(line.parse::<Entry>().is_err(), "{line:?}");
    }
}

/// What a slice and a report hold of an entry (`RuleSliceSpec::entries`).
const TEXT_MAX: usize = 1_024;

#[test]
fn the_longest_entry_fits_into_a_slice() {
    let address = |n: u16| -> IpAddr {
        format!("2001:db8:ffff:ffff:ffff:ffff:ffff:{n:x}")
            .parse()
            .unwrap()
    };
    let targets = (0xff00..0xff10).map(|n| (address(n), if n == 0xff00 { 99 } else { 100 }));
    let ports = |first| Ports::new(first, first + 9_999).unwrap();
    let entry = Entry {
        uid: Uid::new("6f1c2f0e-3d5b-4d0c-9a51-c0ffee000001"),
        generation: i64::MAX,
        body: Body::Dnat {
            address: address(0xffff),
            protocol: Protocol::SCTP,
            ports: ports(10_000),
            targets: Targets::new(targets).unwrap(),
            inside_ports: ports(20_000),
        },
    };
    let text = entry.to_string();
    assert!(
        text.len() > 800 && text.len() <= TEXT_MAX,
        "{} {text}",
        text.len()
    );
    assert_eq!(text.parse(), Ok(entry));
}

proptest! {
    #[test]
    fn no_text_panics(line in ".{0,80}") {
        let _ = line.parse::<Entry>();
    }

    #[test]
    fn a_damaged_line_is_refused_or_prints_as_it_was_read(
        n in 0..GOOD.len(), at in 0usize..60, c in any::<char>()
    ) {
        let mut chars: Vec<char> = GOOD[n].chars().collect();
        let at = at % chars.len();
        chars[at] = c;
        let line: String = chars.into_iter().collect();
        if let Ok(entry) = line.parse::<Entry>() {
            prop_assert_eq!(entry.to_string(), line);
        }
    }
}
