//! Messages of nf_tables and conntrack, whatever is in them, beginning with captured ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use nfnetlink::conntrack::FlowEvent;
use nfnetlink::nftables::Event;
use nfnetlink::wire::{Attrs, Messages};
use sluice_fuzz::{feed, trait_of};

const CAPTURES: [&str; 3] = [
    include_str!("data/expressions.hex"),
    include_str!("data/routing.hex"),
    include_str!("data/switch.hex"),
];

/// The captured messages' bytes.
fn captured() -> Vec<Vec<u8>> {
    let lines = CAPTURES.iter().flat_map(|capture| capture.lines());
    lines
        .filter_map(|line| {
            line.strip_prefix('#')
                .is_none()
                .then(|| line.split_once(' '))?
        })
        .map(|(_, hex)| {
            let byte = |n: usize| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap();
            (0..hex.len() / 2).map(byte).collect()
        })
        .collect()
}

#[test]
fn fuzz_messages() -> Result<(), String> {
    let captured = captured();
    assert!(captured.len() > 10, "{}", captured.len());
    let seeds: Vec<&[u8]> = captured.iter().map(Vec::as_slice).collect();
    feed("messages", &seeds, &[], |input| {
        let mut ways = Vec::new();
        for message in Messages::new(input) {
            let Ok(message) = message else {
                ways.push((0, None, None, 0));
                break;
            };
            let event = Event::read(&message).map(|e| e.map(|e| std::mem::discriminant(&e.object)));
            let flow = FlowEvent::read(&message).map(|flow| flow.is_some());
            let attrs = message
                .netfilter()
                .map(|(_, attrs)| Attrs::new(attrs).count());
            ways.push((
                message.kind,
                event.ok(),
                flow.ok(),
                attrs.unwrap_or(0).min(20),
            ));
        }
        trait_of(ways)
    })
}
