//! Messages captured from the kernel: all of them decode, also when cut off or damaged
//! nothing panics.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use nfnetlink::conntrack::FlowEvent;
use nfnetlink::nftables::expr::Expr;
use nfnetlink::nftables::{Event, Object};
use nfnetlink::wire::{Messages, WireError};
use proptest::prelude::*;

const CAPTURES: [&str; 3] = [
    include_str!("data/expressions.hex"),
    include_str!("data/routing.hex"),
    include_str!("data/switch.hex"),
];

/// The messages of a capture: kind of object, bytes.
fn messages(capture: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    let lines = capture.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (kind, hex) = line.split_once(' ').unwrap();
        let bytes = (0..hex.len() / 2)
            .map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap())
            .collect();
        (kind, bytes)
    })
}

fn all_messages() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    CAPTURES.into_iter().flat_map(messages)
}

fn read(bytes: &[u8]) -> Result<Vec<Event>, WireError> {
    let mut events = Vec::new();
    for message in Messages::new(bytes) {
        let message = message?;
        message.ack()?;
        FlowEvent::read(&message)?;
        events.extend(Event::read(&message)?);
    }
    Ok(events)
}

#[test]
fn each_message_is_what_it_was_captured_as() {
    let mut count = 0;
    for (kind, bytes) in all_messages() {
        let events = read(&bytes).unwrap();
        let [event] = events.as_slice() else {
            panic!("{events:?}");
        };
        let read_as = match &event.object {
            Object::Table(_) => "table",
            Object::Chain { .. } => "chain",
            Object::Rule(rule) => {
                for expr in &rule.rule.exprs {
                    assert!(!matches!(expr, Expr::Unknown { .. }), "{expr:?}");
                }
                "rule"
            }
            Object::Set { .. } => "set",
            Object::Elements { .. } => "elem",
            other => panic!("{other:?}"),
        };
        assert_eq!(read_as, kind);
        count += 1;
    }
    assert_eq!(count, 254);
}

#[test]
fn a_message_cut_off_at_any_length_is_an_error() {
    for (_, bytes) in all_messages() {
        for len in 1..bytes.len() {
            let result = read(&bytes[..len]);
            assert!(
                matches!(result, Err(WireError::Truncated { .. })),
                "{len} of {}: {result:?}",
                bytes.len()
            );
        }
    }
}

#[test]
fn a_message_whose_header_agrees_with_the_cut_never_panics() {
    for (_, bytes) in all_messages() {
        for len in 16..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            cut[..4].copy_from_slice(&u32::try_from(len).unwrap().to_ne_bytes());
            let _ = read(&cut);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_messages_never_panic(
        index in 0_usize..254,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (_, mut bytes) = all_messages().nth(index).unwrap();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = read(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn random_bodies_never_panic(
        kind in any::<u8>(),
        subsystem in prop::sample::select(vec![1_u8, 10]),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend([kind, subsystem, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(body);
        let _ = read(&bytes);
    }
}
