//! Headers and slices as the API server gives them to an agent, whatever they are.

use std::collections::BTreeMap;

use sluice_fuzz::{feed, trait_of};

use super::*;

#[test]
fn fuzz_configs() -> Result<(), String> {
    let owner = OwnerGateway {
        name: "egress".to_owned(),
        uid: "uid".to_owned(),
    };
    let entry: Entry = "addr e1 1 192.0.2.7 external"
        .parse()
        .map_err(|e| format!("{e}"))?;
    let rank = Rank {
        created_secs: 0,
        uid: entry.uid.clone(),
    };
    let config = compile(&owner, super::tests::settings(), [(rank, entry)]);
    let slices: BTreeMap<_, _> = config.slices.iter().cloned().collect();
    let text = |header: &GatewayConfigSpec, slices: &BTreeMap<String, RuleSliceSpec>| {
        serde_json::to_vec(&(header, slices)).unwrap_or_default()
    };
    let good = text(&config.header, &slices);
    let bare = text(&config.header, &BTreeMap::new());
    let words = [
        "null",
        "[]",
        "{}",
        "-1",
        "0",
        "2",
        "1e9",
        "\"\"",
        "true",
        "\"format\":1",
        "\"slices\":[]",
        "addr e1 1 192.0.2.7 external",
        "\"entries\":[",
        "\\u0000",
    ];
    feed("configs", &[&good, &bare], &words, |input| {
        let parsed =
            serde_json::from_slice::<(GatewayConfigSpec, BTreeMap<String, RuleSliceSpec>)>(input);
        let (header, slices) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return trait_of((0, error.classify() as u8)),
        };
        let as_it_came = receive(&header, &slices);
        if let Ok(snapshot) = &as_it_came {
            // Nothing but what its hashes say is taken.
            assert_eq!(snapshot.digest.to_string(), header.digest);
        }
        // An operator with another opinion of what an entry is would hash it rightly.
        let owner = header.gateway.name.clone();
        let slices = slices
            .into_values()
            .map(|slice| (name_of(&owner, &digest_of(&slice)), slice));
        let slices: BTreeMap<_, _> = slices.collect();
        let digests: Vec<Digest> = slices.values().map(digest_of).collect();
        let header = GatewayConfigSpec {
            slices: slices.keys().cloned().collect(),
            digest: digest(header.format, &header.settings, &digests).to_string(),
            ..header
        };
        let hashed = match receive(&header, &slices) {
            Ok(snapshot) => (snapshot.len().min(9), None, String::new()),
            Err(error) => (
                0,
                Some(std::mem::discriminant(&error)),
                error
                    .to_string()
                    .split(':')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            ),
        };
        let as_it_came = as_it_came.map_err(|error| std::mem::discriminant(&error));
        trait_of((as_it_came.map(|_| 0), hashed))
    })
}
