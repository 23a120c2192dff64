//! A gateway's config: entries in order, cut into slices, named by a header.
//!
//! Compiling is pure: the same objects give the same bytes, whatever the order
//! in which they arrived. The header's digest is over the digests of its slices, and
//! which entries stand in which slice follows from the entries alone: so a change costs
//! what its slices cost, at the operator and at the agents, however large the rest is.

use std::collections::BTreeMap;

use sluice_crds::internal::{ConfigSettings, GatewayConfigSpec, OwnerGateway, RuleSliceSpec};

use crate::entry::{Entry, FORMAT};
use crate::identity::{Digest, Uid};

mod cut;
mod snapshot;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

pub use cut::{Cutter, SliceRef};
pub use snapshot::{BadConfig, Slice, Snapshot, assemble, difference, receive};

/// A slice never has more entries than this.
const SLICE_MAX: usize = 256;
/// One object in this many ends its slice.
const SLICE_CUT: u64 = 64;
/// A header never names more slices than this.
pub const SLICES_MAX: usize = 2_048;

/// Where an object's entries stand among the others: by age, then by UID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// `metadata.creationTimestamp`, seconds since the epoch.
    pub created_secs: i64,
    /// UID of the object.
    pub uid: Uid,
}

/// All that one gateway's kernel must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the header must say.
    pub header: GatewayConfigSpec,
    /// The slices that the header names: name and content.
    pub slices: Vec<(String, RuleSliceSpec)>,
}

/// Compiles a gateway's entries. Those of one object may be given in any order.
#[must_use]
pub fn compile(
    gateway: &OwnerGateway,
    settings: ConfigSettings,
    entries: impl IntoIterator<Item = (Rank, Entry)>,
) -> Config {
    let mut lines: BTreeMap<Uid, Vec<String>> = BTreeMap::new();
    let mut cutter = Cutter::default();
    for (rank, entry) in entries {
        let own = lines.entry(rank.uid.clone()).or_default();
        own.push(entry.to_string());
        cutter.touch(&rank, true);
    }
    lines.values_mut().for_each(|own| own.sort_unstable());
    let lines = |uid: &Uid| lines.get(uid).map_or(&[][..], Vec::as_slice);
    let slices = cutter.slices(&gateway.name, lines);
    Config {
        header: header(gateway, settings, &slices),
        slices: cutter.contents(|_| true, lines),
    }
}

/// The header that names these slices.
#[must_use]
pub fn header(
    gateway: &OwnerGateway,
    settings: ConfigSettings,
    slices: &[SliceRef],
) -> GatewayConfigSpec {
    let digest = digest(FORMAT, &settings, slices.iter().map(|slice| &slice.digest));
    let entries: usize = slices.iter().map(|slice| slice.entries).sum();
    GatewayConfigSpec {
        gateway: gateway.clone(),
        format: FORMAT,
        digest: digest.to_string(),
        settings,
        slices: slices.iter().map(|slice| slice.name.clone()).collect(),
        entries: i64::try_from(entries).unwrap_or(i64::MAX),
    }
}

/// Digest of a slice's content.
fn digest_of(spec: &RuleSliceSpec) -> Digest {
    Digest::of_lines(spec.entries.iter().map(String::as_str))
}

/// The name of a slice with this content in the gateway's namespace.
fn name_of(gateway: &str, digest: &Digest) -> String {
    format!("{gateway}-{}", digest.short())
}

/// Digest of a config's content, as it stands in the header.
fn digest<'a>(
    format: i64,
    settings: &ConfigSettings,
    slices: impl IntoIterator<Item = &'a Digest>,
) -> Digest {
    // Serialising a plain struct of strings, numbers and lists cannot fail.
    let settings = serde_json::to_string(settings).unwrap_or_default();
    let mut lines = vec![format!("format {format}"), settings];
    lines.extend(slices.into_iter().map(Digest::to_string));
    Digest::of_lines(lines.iter().map(String::as_str))
}
