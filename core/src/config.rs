//! A gateway's config: entries in order, cut into slices, named by a header.
//!
//! Compiling is pure: the same objects give the same bytes, whatever the order
//! in which they arrived. The digest is over the entries, not over the cut.

use std::collections::BTreeMap;

use sluice_crds::internal::{ConfigSettings, GatewayConfigSpec, OwnerGateway, RuleSliceSpec};

use crate::entry::{Entry, FORMAT};
use crate::identity::{Digest, Uid};

#[cfg(test)]
mod tests;

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
    let mut ranked: BTreeMap<Rank, Vec<String>> = BTreeMap::new();
    for (rank, entry) in entries {
        ranked.entry(rank).or_default().push(entry.to_string());
    }
    let mut lines = 0;
    let mut slices = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for (rank, mut entries) in ranked {
        entries.sort_unstable();
        lines += entries.len();
        for entry in entries {
            if open.len() == SLICE_MAX {
                slices.push(close(gateway, &mut open));
            }
            open.push(entry);
        }
        if Digest::of(rank.uid.as_str().as_bytes())
            .to_u64()
            .is_multiple_of(SLICE_CUT)
        {
            slices.push(close(gateway, &mut open));
        }
    }
    if !open.is_empty() {
        slices.push(close(gateway, &mut open));
    }
    let digest = digest(
        FORMAT,
        &settings,
        slices
            .iter()
            .flat_map(|(_, s)| s.entries.iter().map(String::as_str)),
    );
    Config {
        header: GatewayConfigSpec {
            gateway: gateway.clone(),
            format: FORMAT,
            digest: digest.to_string(),
            settings,
            slices: slices.iter().map(|(name, _)| name.clone()).collect(),
            entries: i64::try_from(lines).unwrap_or(i64::MAX),
        },
        slices,
    }
}

fn close(gateway: &OwnerGateway, open: &mut Vec<String>) -> (String, RuleSliceSpec) {
    let spec = RuleSliceSpec {
        entries: std::mem::take(open),
    };
    (slice_name(&gateway.name, &spec), spec)
}

/// The name that a slice of this content has in the gateway's namespace.
#[must_use]
pub fn slice_name(gateway: &str, spec: &RuleSliceSpec) -> String {
    format!(
        "{gateway}-{}",
        Digest::of_lines(spec.entries.iter().map(String::as_str)).short()
    )
}

/// Digest of a config's content, as it stands in the header.
pub fn digest<'a>(
    format: i64,
    settings: &ConfigSettings,
    entries: impl IntoIterator<Item = &'a str>,
) -> Digest {
    // Serialising a plain struct of strings, numbers and lists cannot fail.
    let settings = serde_json::to_string(settings).unwrap_or_default();
    let format = format!("format {format}");
    let mut lines: Vec<&str> = vec![&format, &settings];
    for line in entries {
        lines.push(line);
    }
    Digest::of_lines(lines)
}

/// A config as an agent received it, every hash checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Digest of the content.
    pub digest: Digest,
    /// Interfaces, subnets and policies.
    pub settings: ConfigSettings,
    /// All entries, in order.
    pub entries: Vec<Entry>,
    /// Names of the slices that they came in.
    pub slices: Vec<String>,
}

/// Why a received config is not applied; the last good one stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// Written by a newer operator.
    #[error("config has format {0}, this agent knows {FORMAT}: update the gateway's image")]
    UnknownFormat(i64),
    /// A slice that the header names was not given.
    #[error("slice {0} is missing")]
    SliceMissing(String),
    /// A slice whose name is not that of its content.
    #[error("slice {0} does not have the content that its name tells")]
    SliceForged(String),
    /// The content is not what the header says.
    #[error("content has digest {got}, the header says {expected}")]
    DigestDiffers {
        /// The header's word.
        expected: String,
        /// Computed from what was received.
        got: Digest,
    },
    /// A line that is no entry.
    #[error(transparent)]
    Entry(#[from] crate::entry::BadEntry),
}

/// Puts a header and its slices together and checks every hash.
///
/// # Errors
/// [`BadConfig`] where something is missing, unknown or not what its hash says.
pub fn assemble(
    header: &GatewayConfigSpec,
    slices: &BTreeMap<String, RuleSliceSpec>,
) -> Result<Snapshot, BadConfig> {
    if header.format != FORMAT {
        return Err(BadConfig::UnknownFormat(header.format));
    }
    let mut lines = Vec::new();
    for name in &header.slices {
        let slice = slices
            .get(name)
            .ok_or_else(|| BadConfig::SliceMissing(name.clone()))?;
        if slice_name(&header.gateway.name, slice) != *name {
            return Err(BadConfig::SliceForged(name.clone()));
        }
        lines.extend(slice.entries.iter().map(String::as_str));
    }
    let got = digest(header.format, &header.settings, lines.iter().copied());
    if got.to_string() != header.digest {
        return Err(BadConfig::DigestDiffers {
            expected: header.digest.clone(),
            got,
        });
    }
    Ok(Snapshot {
        digest: got,
        settings: header.settings.clone(),
        entries: lines
            .into_iter()
            .map(str::parse)
            .collect::<Result<_, _>>()?,
        slices: header.slices.clone(),
    })
}
