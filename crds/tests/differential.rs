//! What the parsers of `sluice_crds::address` take, the CEL rules of the kinds
//! take, and the other way round: the same generated strings are put to both.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use sluice_crds::address::{
    AddressRange, InterfaceAddress, Prefix, parse_host, parse_host_of, parse_hosts, parse_next_hop,
};
use sluice_crds::manifest;
use sluice_crds::user::{IpFamily, MssClamp, Ports, Rate};

/// One field of a kind: its rules, and a value around the string under test.
struct Field {
    rules: CompiledSchema,
    wrap: fn(&str) -> Value,
}

impl Field {
    /// The rules at `pointer` in the schema of `kind`, and below.
    fn new(kind: &str, pointer: &str, wrap: fn(&str) -> Value) -> Self {
        let manifest = manifest::all()
            .unwrap()
            .into_iter()
            .find(|manifest| manifest.object["spec"]["names"]["kind"] == kind)
            .unwrap();
        let schema = manifest.schema().pointer(pointer).unwrap();
        Self {
            rules: compile_schema(schema),
            wrap,
        }
    }

    fn takes(&self, text: &str) -> bool {
        Validator::new()
            .validate_compiled(&self.rules, &(self.wrap)(text), None)
            .is_ok()
    }
}

fn list(text: &str) -> Value {
    json!([text])
}

fn alone(text: &str) -> Value {
    json!(text)
}

/// Addresses of every kind, in every spelling, and text that is nearly one.
fn address() -> BoxedStrategy<String> {
    let v4 = prop_oneof![
        any::<u32>().prop_map(Ipv4Addr::from),
        prop::sample::select(vec![
            0_u32,
            1,
            0x7f00_0001,
            0xa9fe_0101,
            0xe000_0001,
            0xffff_ffff
        ])
        .prop_map(Ipv4Addr::from),
        (0_u32..=255).prop_map(|low| Ipv4Addr::from(0x0a9b_1e00 | low)),
    ];
    let groups = prop::array::uniform8(prop_oneof![3 => Just(0_u16), 2 => any::<u16>()]);
    let v6 = prop_oneof![
        any::<u128>().prop_map(Ipv6Addr::from),
        groups.prop_map(Ipv6Addr::from),
        any::<u64>().prop_map(|low| Ipv6Addr::from(u128::from(low))),
        any::<u64>()
            .prop_map(|low| Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(low & 0xffff))),
        any::<u32>().prop_map(|low| Ipv6Addr::from(0xffff_u128 << 32 | u128::from(low))),
        any::<u64>().prop_map(|low| Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(low))),
    ];
    let long = |address: Ipv6Addr| {
        let segments = address.segments();
        segments.map(|group| format!("{group:x}")).join(":")
    };
    let padded = |address: Ipv6Addr| {
        let segments = address.segments();
        segments.map(|group| format!("{group:04X}")).join(":")
    };
    let mixed = |(high, low): (Ipv6Addr, Ipv4Addr)| {
        format!("{}:{low}", high.to_string().trim_end_matches(':'))
    };
    prop_oneof![
        4 => v4.clone().prop_map(|address| address.to_string()),
        2 => v6.clone().prop_map(|address| address.to_string()),
        1 => v6.clone().prop_map(long),
        1 => v6.clone().prop_map(padded),
        1 => (v6.clone(), v4.clone()).prop_map(mixed),
        1 => v4.clone().prop_map(|address| format!("0{address}")),
        1 => v6.prop_map(|address| format!("{address}%eth0")),
        1 => "[0-9a-fA-F:.]{0,24}",
        1 => "([0-9a-f]{0,5}:){1,8}[0-9a-f]{0,5}",
        1 => "([0-9]{1,3}\\.){2,4}[0-9]{1,3}",
    ]
    .boxed()
}

/// Addresses with lengths, good and bad, with and without host bits.
fn prefix() -> BoxedStrategy<String> {
    let length = prop_oneof![
        4 => (0_u8..=34).prop_map(|length| length.to_string()),
        3 => (0_u8..=130).prop_map(|length| length.to_string()),
        1 => "[+-]?0?[0-9]{0,3} ?",
    ];
    let cleared = (address(), 1_u8..=128).prop_map(|(text, length)| {
        let prefix = text.parse().ok().and_then(|a| Prefix::of(a, length));
        prefix.map_or(text, |prefix| prefix.to_string())
    });
    // The last address of a prefix, with its length.
    let edge = (address(), 1_u8..=128).prop_map(|(text, length)| {
        let prefix = text.parse().ok().and_then(|a| Prefix::of(a, length));
        prefix.map_or(text, |prefix| format!("{}/{length}", prefix.last()))
    });
    prop_oneof![
        2 => (address(), length).prop_map(|(address, length)| format!("{address}/{length}")),
        2 => cleared,
        1 => edge,
        1 => address(),
    ]
    .boxed()
}

/// Ranges in all forms, near ones too, so that both orders occur.
fn range() -> BoxedStrategy<String> {
    let near = (address(), -300_i64..300).prop_map(|(text, step)| {
        let last = match text.parse() {
            Ok(IpAddr::V4(a)) => {
                Ipv4Addr::from(u32::from(a).wrapping_add_signed(i32::try_from(step).unwrap()))
                    .to_string()
            }
            Ok(IpAddr::V6(a)) => {
                Ipv6Addr::from(u128::from(a).wrapping_add_signed(step.into())).to_string()
            }
            Err(_) => text.clone(),
        };
        format!("{text}-{last}")
    });
    prop_oneof![
        3 => near,
        2 => (address(), address()).prop_map(|(first, last)| format!("{first}-{last}")),
        1 => (address(), address(), address()).prop_map(|(a, b, c)| format!("{a}-{b}-{c}")),
        2 => prefix(),
    ]
    .boxed()
}

/// Ports and ranges of ports, good and bad.
fn port() -> BoxedStrategy<String> {
    prop_oneof![
        2 => (0_u32..70_000, -5_i32..5).prop_map(|(a, step)| format!("{a}-{}", a.saturating_add_signed(step))),
        1 => (0_u32..70_000).prop_map(|port| port.to_string()),
        1 => "[0-9+* -]{0,8}",
        1 => Just("*".to_owned()),
    ]
    .boxed()
}

/// Rates, and quantities that are none.
fn rate() -> BoxedStrategy<String> {
    let number = prop_oneof![
        4 => "[0-9]{1,6}",
        3 => "[1-9][0-9]{0,2}\\.[0-9]{1,4}",
        1 => "[1-9][0-9]{8,17}",
        1 => "[+-]?0?[0-9.e]{0,5}",
    ];
    let units = "|k|M|G|T|Ki|Mi|Gi|Ti|m|K|P|Ei|e3|bps".split('|');
    let unit = prop::sample::select(units.collect::<Vec<_>>());
    (number, unit)
        .prop_map(|(number, unit)| format!("{number}{unit}"))
        .boxed()
}

/// Sizes of segments, good and bad.
fn size() -> BoxedStrategy<String> {
    prop_oneof![
        3 => (0_u32..70_000).prop_map(|size| size.to_string()),
        1 => (530_u32..540).prop_map(|size| format!("0{size}")),
        1 => "[0-9+. -]{0,6}",
        1 => prop::sample::select(vec!["Auto", "auto", "AUTO", "Auto "]).prop_map(str::to_owned),
    ]
    .boxed()
}

/// Two valid ranges of one subnet, of all forms.
fn pair_of_ranges() -> BoxedStrategy<String> {
    let entry = |v6: bool| {
        let show = move |offset: u8| {
            if v6 {
                Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(offset)).to_string()
            } else {
                Ipv4Addr::from(0x0a9b_1e00 | u32::from(offset)).to_string()
            }
        };
        prop_oneof![
            (1_u8..=254, 1_u8..=254).prop_map(move |(a, b)| format!(
                "{}-{}",
                show(a.min(b)),
                show(a.max(b))
            )),
            (1_u8..=254).prop_map(show),
            (0_u8..=255, 0_u8..=6).prop_map(move |(a, host)| {
                let length = if v6 { 128 } else { 32 } - host;
                let network = Prefix::of(show(a).parse().unwrap(), length).unwrap();
                network.to_string()
            }),
        ]
    };
    let pair = prop_oneof![(entry(false), entry(false)), (entry(true), entry(true))];
    pair.prop_map(|(a, b)| format!("{a} {b}")).boxed()
}

/// Puts generated strings to a parser and to a field's rules.
fn compare(
    cases: u32,
    strings: fn() -> BoxedStrategy<String>,
    field: fn() -> Field,
    parses: fn(&str) -> bool,
) {
    // The local CEL parser recurses deeper than a test's thread allows.
    let body = move || {
        let (strategy, field) = (strings(), field());
        let (mut taken, mut refused) = (0_u32, 0_u32);
        let config = Config {
            failure_persistence: None,
            ..Config::with_cases(cases)
        };
        let result = TestRunner::new(config).run(&strategy, |text| {
            let (rust, cel) = (parses(&text), field.takes(&text));
            if rust == cel {
                Ok(())
            } else {
                Err(TestCaseError::fail(format!(
                    "{text:?}: the parser says {rust}, the rules say {cel}"
                )))
            }
        });
        if let Err(error) = result {
            panic!("{error}");
        }
        // The strings must exercise both answers.
        let mut runner = TestRunner::deterministic();
        for _ in 0..200 {
            let text = strategy.new_tree(&mut runner).unwrap().current();
            if parses(&text) {
                taken += 1
            } else {
                refused += 1
            }
        }
        assert!(
            taken > 10 && refused > 10,
            "{taken} taken, {refused} refused"
        );
    };
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(body);
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn host_addresses() {
    compare(
        600,
        address,
        || {
            Field::new(
                "FIP",
                "/properties/spec/properties/target/properties/ips",
                list,
            )
        },
        |text| parse_host(text).is_ok(),
    );
}

#[test]
fn addresses_of_one_family() {
    const ADDRESS: &str = "/properties/spec/properties/uplinks/items/properties/address/properties";
    compare(
        300,
        address,
        || Field::new("NATGateway", &format!("{ADDRESS}/ipv4"), alone),
        |text| parse_host_of(text, IpFamily::IPv4).is_ok(),
    );
    compare(
        300,
        address,
        || Field::new("NATGateway", &format!("{ADDRESS}/ipv6"), alone),
        |text| parse_host_of(text, IpFamily::IPv6).is_ok(),
    );
}

#[test]
fn pairs_of_addresses() {
    compare(
        400,
        || {
            (address(), address())
                .prop_map(|(a, b)| format!("{a} {b}"))
                .boxed()
        },
        || {
            Field::new(
                "FIP",
                "/properties/spec/properties/target/properties/ips",
                |text| text.split(' ').collect(),
            )
        },
        |text| parse_hosts(&text.split(' ').collect::<Vec<_>>()).is_ok(),
    );
}

#[test]
fn next_hops() {
    compare(
        400,
        address,
        || {
            Field::new(
                "EIPPool",
                "/properties/spec/properties/subnets/items/properties/gateway",
                alone,
            )
        },
        |text| parse_next_hop(text).is_ok(),
    );
}

#[test]
fn prefixes() {
    compare(
        600,
        prefix,
        || Field::new("SNAT", "/properties/spec/properties/sources", list),
        |text| text.parse::<Prefix>().is_ok(),
    );
}

#[test]
fn interface_addresses() {
    compare(
        600,
        prefix,
        || {
            Field::new(
                "NATGateway",
                "/properties/spec/properties/lan/properties/addresses",
                list,
            )
        },
        |text| text.parse::<InterfaceAddress>().is_ok(),
    );
}

#[test]
fn ranges() {
    compare(
        600,
        range,
        || {
            Field::new(
                "EIPPool",
                "/properties/spec/properties/subnets/items/properties/ranges",
                list,
            )
        },
        |text| text.parse::<AddressRange>().is_ok(),
    );
}

#[test]
fn ports() {
    compare(
        300,
        port,
        || Field::new("DNAT", "/properties/spec/properties/ports", alone),
        |text| Ports::parse(text).is_some(),
    );
}

#[test]
fn rates() {
    compare(
        600,
        rate,
        || {
            Field::new(
                "EIP",
                "/properties/spec/properties/bandwidth/properties/ingress",
                alone,
            )
        },
        |text| Rate::parse(text).is_ok(),
    );
    compare(
        200,
        rate,
        || {
            Field::new(
                "EIP",
                "/properties/spec/properties/bandwidth/properties/egress",
                alone,
            )
        },
        |text| Rate::parse(text).is_ok(),
    );
}

#[test]
fn sizes_of_segments() {
    compare(
        300,
        size,
        || Field::new("NATGateway", "/properties/spec/properties/mssClamp", alone),
        |text| MssClamp::parse(text).is_some(),
    );
}

/// Two ranges of one subnet: the rule refuses exactly those that overlap.
#[test]
fn overlapping_ranges() {
    compare(
        300,
        pair_of_ranges,
        || {
            Field::new(
                "EIPPool",
                "/properties/spec/properties/subnets/items",
                |text| {
                    let cidr = if text.contains(':') {
                        "2001:db8::/64"
                    } else {
                        "10.155.30.0/24"
                    };
                    json!({"cidr": cidr, "ranges": text.split(' ').collect::<Vec<_>>()})
                },
            )
        },
        |text| {
            let (a, b) = text.split_once(' ').unwrap();
            let (a, b): (AddressRange, AddressRange) = (a.parse().unwrap(), b.parse().unwrap());
            !a.overlaps(b)
        },
    );
}
