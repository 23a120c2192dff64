use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> String {
    parse_host(text).unwrap_err().to_string()
}

#[test]
fn host_addresses_are_taken_and_printed_in_canonical_form() {
    for (text, canonical) in [
        ("10.155.30.242", "10.155.30.242"),
        ("1.0.0.0", "1.0.0.0"),
        ("255.255.255.254", "255.255.255.254"),
        ("2001:db8:1::e:1", "2001:db8:1::e:1"),
        ("2001:DB8:0001:0:0:0:E:1", "2001:db8:1::e:1"),
        ("64:ff9b::c000:201", "64:ff9b::c000:201"),
        ("fd00:10:244::5", "fd00:10:244::5"),
    ] {
        assert_eq!(parse_host(text).unwrap().to_string(), canonical);
    }
}

#[test]
fn every_kind_of_wrong_address_is_refused_by_name() {
    for (text, says) in [
        ("", "is not an address"),
        ("web", "is not an address"),
        ("10.0.0", "is not an address"),
        ("10.0.0.256", "is not an address"),
        ("010.0.0.1", "leading zeros"),
        ("10.0.0.01", "leading zeros"),
        (" 10.0.0.1", "is not an address"),
        ("1:2:3:4:5:6:7:8:9", "is not an address"),
        ("2001:db8::1::2", "is not an address"),
        ("10.0.0.1/32", "has a prefix length"),
        ("fe80::1%eth0", "names a zone"),
        ("::ffff:192.0.2.1", "inside an IPv6 address"),
        ("64:ff9b::192.0.2.1", "inside an IPv6 address"),
        ("::ffff:c000:201", "::/80"),
        ("0:0:0:0:0:FFFF:c000:201", "::/80"),
        ("::c000:201", "::/80"),
        ("::", "::/80"),
        ("::1", "::/80"),
        ("fe80::1", "fe80::/10"),
        ("ff02::1", "ff00::/8"),
        ("0.0.0.0", "0.0.0.0/8"),
        ("0.1.2.3", "0.0.0.0/8"),
        ("127.0.0.1", "loopback"),
        ("169.254.1.1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("255.255.255.255", "broadcast"),
    ] {
        let message = refused(text);
        assert!(message.contains(says), "{text}: {message}");
        assert!(message.contains(&format!("{text:?}")), "{text}: {message}");
    }
}

#[test]
fn a_next_hop_may_be_link_local_and_nothing_else_special() {
    assert!(parse_next_hop("fe80::1").is_ok());
    assert!(parse_next_hop("169.254.1.1").is_ok());
    assert!(parse_next_hop("10.155.30.1").is_ok());
    for text in ["fe80::1%eth0", "127.0.0.1", "::1", "0.0.0.0", "ff02::2"] {
        assert!(parse_next_hop(text).is_err(), "{text}");
    }
}

#[test]
fn an_address_of_the_other_family_is_refused() {
    let error = parse_host_of("2001:db8::1", IpFamily::IPv4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"2001:db8::1\" is not an IPv4 address: write one of IPv4"
    );
}

#[test]
fn two_addresses_of_one_family_are_refused() {
    let error = parse_hosts(&["10.0.0.1", "10.0.0.2"]).unwrap_err();
    assert!(error.to_string().contains("a second IPv4 address"));
    let both = parse_hosts(&["2001:db8::1", "10.0.0.1"]).unwrap();
    assert_eq!(both.to_string(), "ipv4=10.0.0.1 ipv6=2001:db8::1");
}

#[test]
fn prefix_lengths_are_plain_decimals_bounded_per_family() {
    for text in [
        "10.0.0.0/+24",
        "10.0.0.0/024",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/128",
        "10.0.0.0/129",
        "10.0.0.0/0",
        "10.0.0.0/-1",
        "10.0.0.0/ 8",
        "10.0.0.0/8 ",
        "10.0.0.0/8/8",
        "10.0.0.0/256",
        "10.0.0.0/4294967304",
    ] {
        let message = text.parse::<Prefix>().unwrap_err().to_string();
        assert!(
            message.contains("IPv4 takes /1 to /32"),
            "{text}: {message}"
        );
    }
    for text in [
        "2001:db8::/129",
        "2001:db8::/+64",
        "2001:db8::/064",
        "2001:db8::/0",
    ] {
        let message = text.parse::<Prefix>().unwrap_err().to_string();
        assert!(
            message.contains("IPv6 takes /1 to /128"),
            "{text}: {message}"
        );
    }
    let message = "10.0.0.0".parse::<Prefix>().unwrap_err().to_string();
    assert_eq!(
        message,
        "\"10.0.0.0\" has no prefix length: IPv4 takes /1 to /32"
    );
}

#[test]
fn host_bits_are_refused_with_the_prefix_that_was_meant() {
    let error = "10.155.30.1/24".parse::<Prefix>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"10.155.30.1/24\" has host bits: write 10.155.30.0/24"
    );
}

#[test]
fn network_and_broadcast_addresses_are_no_interface_addresses() {
    for (text, says) in [
        ("10.0.0.0/24", "network address"),
        ("10.0.0.255/24", "broadcast address"),
        ("10.0.255.255/16", "broadcast address"),
        ("2001:db8::/64", "network address"),
    ] {
        let message = text.parse::<InterfaceAddress>().unwrap_err().to_string();
        assert!(message.contains(says), "{text}: {message}");
    }
    for text in [
        "10.0.0.0/31",
        "10.0.0.1/31",
        "10.0.0.7/32",
        "10.0.0.255/16",
        "2001:db8::ffff/112",
        "2001:db8::/127",
        "2001:db8::/128",
    ] {
        assert_eq!(text.parse::<InterfaceAddress>().unwrap().to_string(), text);
    }
}

#[test]
fn ranges_are_ordered_and_of_one_family() {
    for (text, first, last, count) in [
        ("10.0.0.1-10.0.0.9", "10.0.0.1", "10.0.0.9", 9),
        ("10.0.0.9-10.0.0.10", "10.0.0.9", "10.0.0.10", 2),
        ("10.0.0.0/30", "10.0.0.0", "10.0.0.3", 4),
        ("10.0.0.7", "10.0.0.7", "10.0.0.7", 1),
        ("2001:db8::9-2001:db8::10", "2001:db8::9", "2001:db8::10", 8),
        (
            "2001:db8::e:0/112",
            "2001:db8::e:0",
            "2001:db8::e:ffff",
            65_536,
        ),
    ] {
        let range: AddressRange = text.parse().unwrap();
        assert_eq!(range.first(), first.parse::<IpAddr>().unwrap());
        assert_eq!(range.last(), last.parse::<IpAddr>().unwrap());
        assert_eq!(range.count(), count);
        assert_eq!(range.nth(count - 1), Some(range.last()));
        assert_eq!(range.nth(count), None);
    }
    for (text, says) in [
        ("10.0.0.9-10.0.0.1", "ends before it begins"),
        ("10.0.0.1-2001:db8::1", "one range per family"),
        ("10.0.0.1-", "is not an address"),
        ("10.0.0.1-10.0.0.2-10.0.0.3", "is not an address"),
        ("10.0.0.1/24", "has host bits"),
        ("10.0.0.0/24-10.0.1.0/24", "has a prefix length"),
    ] {
        let message = text.parse::<AddressRange>().unwrap_err().to_string();
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn both_keys_stand_in_every_record() {
    let v6 = DualAddress::of("2001:db8::1".parse().unwrap());
    assert_eq!(
        serde_json::to_string(&v6).unwrap(),
        r#"{"ipv4":null,"ipv6":"2001:db8::1"}"#
    );
    assert_eq!(v6.to_string(), "ipv4=- ipv6=2001:db8::1");
    assert_eq!(DualAddress::default().to_string(), "ipv4=- ipv6=-");
    assert!(serde_json::from_str::<DualAddress>(r#"{"ipv4":"2001:db8::1","ipv6":null}"#).is_err());
}

#[test]
fn a_claim_name_is_one_spelling_of_one_address() {
    let name = claim_name("2001:db8:1::e:1".parse().unwrap());
    assert_eq!(name, "2001-0db8-0001-0000-0000-0000-000e-0001");
    assert_eq!(
        parse_claim_name(&name).unwrap().to_string(),
        "2001:db8:1::e:1"
    );
    for other in [
        "2001-db8-1--e-1",
        "2001-0DB8-0001-0000-0000-0000-000e-0001",
        "010.0.0.1",
        "",
    ] {
        assert!(parse_claim_name(other).is_err(), "{other}");
    }
}

#[test]
fn an_error_never_repeats_more_than_it_can_show() {
    let long = "9".repeat(10_000);
    assert!(refused(&long).len() < 250);
    assert!(!refused("1\n2").contains('\n'));
}

/// Strings that are nearly addresses: the alphabet of addresses, and pieces.
fn nearly() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-fA-F:./%+-]{0,50}",
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(/[+0-9]{0,4})?",
        "([0-9a-f]{0,4}:){1,8}[0-9a-f]{0,4}(/[+0-9]{0,4})?",
        ".{0,60}",
    ]
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in nearly()) {
        let _ = (parse_host(&text), parse_next_hop(&text), parse_claim_name(&text));
        let _ = (text.parse::<Prefix>(), text.parse::<InterfaceAddress>());
        let _ = text.parse::<AddressRange>();
    }

    #[test]
    fn what_is_printed_parses_to_the_same(bits in any::<u128>(), length in 1_u8..=128, v4: bool) {
        let address = if v4 {
            IpAddr::V4(Ipv4Addr::from(u32::try_from(bits & 0xffff_ffff).unwrap()))
        } else {
            IpAddr::V6(Ipv6Addr::from(bits))
        };
        prop_assert_eq!(parse_claim_name(&claim_name(address)).unwrap(), address);
        if let Some(prefix) = Prefix::of(address, length) {
            prop_assert!(prefix.contains(address) && prefix.contains(prefix.last()));
            if special(prefix.network()).is_none() {
                prop_assert_eq!(prefix.to_string().parse::<Prefix>().unwrap(), prefix);
                let range = AddressRange::from(prefix);
                prop_assert!(range.lies_in(prefix) && range.contains(address));
                if special(prefix.last()).is_none() {
                    prop_assert_eq!(range.to_string().parse::<AddressRange>().unwrap(), range);
                }
            }
        }
    }
}
