//! What users write as addresses, prefixes, ranges and ports, whatever it is.

use std::fmt::Display;
use std::str::FromStr;

use sluice_fuzz::{feed, trait_of};

use super::*;
use crate::user::Ports;

/// Taken: it is written and read as the same. Returns whether it was taken.
fn stays<T: Display + PartialEq, E>(text: &str, parse: impl Fn(&str) -> Result<T, E>) -> bool {
    let Ok(value) = parse(text) else { return false };
    let again = parse(&value.to_string());
    assert!(
        again.is_ok_and(|again| again == value),
        "{text:?} became {value}"
    );
    true
}

#[test]
fn fuzz_addresses() -> Result<(), String> {
    let seeds: [&[u8]; 12] = [
        b"192.0.2.7",
        b"2001:db8::7",
        b"10.244.0.0/16",
        b"fd00:10:244::fe/64",
        b"10.155.30.200-10.155.30.250",
        b"2001:db8:1::e:0/112",
        b"8000-8099",
        b"*",
        b"65535",
        b"::ffff:192.0.2.1",
        b"default.192.0.2.7",
        b"default.2001-0db8-0000-0000-0000-0000-0000-0007",
    ];
    let words = [
        "/",
        "-",
        ":",
        "::",
        ".",
        "%eth0",
        "+",
        "0",
        "/0",
        "/32",
        "/33",
        "/128",
        "/129",
        "255",
        "256",
        "ffff",
        "fe80::",
        "ff02::1",
        "0.0.0.0",
        "127.0.0.1",
        "65536",
        ",",
        "\u{ff11}",
    ];
    feed("addresses", &seeds, &words, |input| {
        let text = String::from_utf8_lossy(input);
        let errors = [
            parse_host(&text).err(),
            parse_next_hop(&text).err(),
            parse_hosts(&text.split(',').collect::<Vec<_>>()).err(),
            Prefix::from_str(&text).err(),
            InterfaceAddress::from_str(&text).err(),
            AddressRange::from_str(&text).err(),
            parse_claim_name(&text).err(),
        ];
        for error in errors.iter().flatten() {
            assert!(error.to_string().len() < 1_000);
        }
        let taken = [
            stays(&text, parse_host),
            stays(&text, parse_next_hop),
            stays(&text, Prefix::from_str),
            stays(&text, InterfaceAddress::from_str),
            stays(&text, AddressRange::from_str),
            stays(&text, |text| Ports::parse(text).ok_or(())),
        ];
        if let Ok(prefix) = Prefix::from_str(&text) {
            // L5: never everything, and never more bits than the family has.
            assert!(prefix.length() > 0 && prefix.length() <= bits(prefix.family()));
        }
        let kinds = errors.map(|error| error.map(|error| std::mem::discriminant(&error)));
        trait_of((kinds, taken))
    })
}
