//! Lines that an operator wrote, or somebody else.

use sluice_fuzz::{feed, trait_of};

use super::*;

#[test]
fn fuzz_entries() -> Result<(), String> {
    let seeds: [&[u8]; 6] = [
        b"addr e1 1 192.0.2.7 external",
        b"addr e1 1 2001:db8::7 external",
        b"fip f1 2 192.0.2.7 10.244.0.5 both",
        b"snat s1 1 10.244.0.0/16 192.0.2.7,192.0.2.8",
        b"dnat d1 1 192.0.2.7 tcp 8080 10.244.0.5 80",
        b"dnat d1 1 2001:db8::7 udp 8000-8099 fd00::5 9000-9099",
    ];
    let words = [
        " ",
        "addr",
        "fip",
        "snat",
        "dnat",
        "tcp",
        "udp",
        "sctp",
        "both",
        "out",
        "*",
        "-",
        "=",
        ",",
        "/",
        "/0",
        "/129",
        "0",
        "1",
        "65535",
        "65536",
        "18446744073709551616",
    ];
    feed("entries", &seeds, &words, |input| {
        let text = String::from_utf8_lossy(input);
        match text.parse::<Entry>() {
            Ok(entry) => {
                let again = entry.to_string().parse::<Entry>();
                assert!(again.as_ref() == Ok(&entry), "{text:?} became {entry}");
                let _ = (entry.key(), entry.digest(), entry.body.address());
                trait_of((
                    0,
                    std::mem::discriminant(&entry.body),
                    entry.body.address().is_ipv4(),
                ))
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                let words = text.split(' ').count().min(9);
                trait_of((1, words, text.split(' ').next().map(|w| w.len().min(5))))
            }
        }
    })
}
