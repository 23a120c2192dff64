//! Settings of a header that passed its hashes, and a Node's annotation, whatever is in
//! them.

use sluice_fuzz::{feed, trait_of};

use super::*;
use crate::kernel::own;

#[test]
fn fuzz_settings() -> Result<(), String> {
    let good = serde_json::to_vec(&super::tests::good()).map_err(|e| e.to_string())?;
    let words = [
        "null",
        "[]",
        "\"\"",
        "-1",
        "\"lo\"",
        "\"eth1\"",
        "0.0.0.0/0",
        "::/0",
        "10.0.0.0/33",
        "\"neighbours\":{\"repair\":false,\"probeSecs\":-9223372036854775808}",
        "\"nodes\":[{\"name\":\"n\",\"uplinkAddress\":\"\"}]",
        "10.155.30.1",
        "::ffff:1.2.3.4",
    ];
    feed("settings", &[&good], &words, |input| {
        let settings: ConfigSettings = match serde_json::from_slice(input) {
            Ok(settings) => settings,
            Err(error) => return trait_of((0, error.classify() as u8)),
        };
        match Settings::parse(&settings) {
            Ok(settings) => {
                assert!((1_000..=60_000).contains(&settings.watch.probe_ms));
                trait_of((1, settings.uplinks.len(), settings.lan_addresses.len()))
            }
            Err(error) => {
                let words = error.to_string();
                trait_of((2, words.split(':').next().map(str::to_owned)))
            }
        }
    })
}

#[test]
fn fuzz_annotations() -> Result<(), String> {
    let seeds: [&[u8]; 3] = [
        b"192.0.2.7",
        b"2001:db8::7,192.0.2.7",
        b"external=192.0.2.7",
    ];
    let words = [
        ",", "=", "external", "second", " ", "/24", "%eth1", "::", ".",
    ];
    feed("annotations", &seeds, &words, |input| {
        let text = String::from_utf8_lossy(input);
        match own::annotation(&text, &["external", "second"]) {
            Ok(list) => {
                assert!(!list.is_empty() && list.len() <= 4, "{list:?}");
                trait_of(
                    list.iter()
                        .map(|(n, a)| (*n, a.is_ipv4()))
                        .collect::<Vec<_>>(),
                )
            }
            Err(error) => trait_of((
                9,
                std::mem::discriminant(&error),
                text.matches(',').count().min(4),
            )),
        }
    })
}
