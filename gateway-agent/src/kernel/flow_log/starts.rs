//! When flows began, for the lines that tell of their end.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use nfnetlink::conntrack::{FlowChange, FlowEvent};

/// Flows whose start is known at a time: about 8 MB. Beyond it the end is told without.
const KNOWN: usize = 1 << 18;

/// When flows began.
#[derive(Debug, Default)]
pub struct Starts(HashMap<u64, Timestamp>);

impl Starts {
    /// Takes in that a flow began or ended; of one that ended, when it began.
    pub fn look(&mut self, event: &FlowEvent, now: Timestamp) -> Option<Timestamp> {
        let mut hasher = DefaultHasher::new();
        (event.flow.id, event.flow.orig).hash(&mut hasher);
        let key = hasher.finish();
        match event.change {
            FlowChange::New if self.0.len() < KNOWN => {
                self.0.insert(key, now);
                None
            }
            FlowChange::New | FlowChange::Update => None,
            FlowChange::Destroy => self.0.remove(&key),
        }
    }
}
