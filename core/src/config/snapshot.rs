//! A config as an agent received it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice_crds::internal::{ConfigSettings, GatewayConfigSpec, RuleSliceSpec};

use super::{digest, digest_of, name_of};
use crate::entry::{Entry, FORMAT};
use crate::identity::Digest;

/// A slice whose hash was checked and whose entries were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    digest: Digest,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
}

impl Slice {
    /// Reads a slice of a gateway.
    ///
    /// # Errors
    /// [`BadConfig::SliceForged`], [`BadConfig::Entry`].
    pub fn read(gateway: &str, name: &str, spec: &RuleSliceSpec) -> Result<Self, BadConfig> {
        let digest = digest_of(spec);
        if name_of(gateway, &digest) != name {
            return Err(BadConfig::SliceForged(name.to_owned()));
        }
        let entries = spec.entries.iter().map(|line| line.parse());
        Ok(Self {
            digest,
            entries: entries.collect::<Result<_, _>>()?,
        })
    }
}

/// All that a kernel must hold, every hash checked. Slices that two revisions have in
/// common are shared between their snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Digest of the content.
    pub digest: Digest,
    /// Interfaces, subnets and policies.
    pub settings: ConfigSettings,
    /// Names of the slices.
    pub names: Vec<String>,
    /// Their entries.
    pub slices: Vec<Arc<Slice>>,
}

impl Snapshot {
    /// A snapshot of these entries that no slices were read for.
    #[must_use]
    pub fn new(settings: ConfigSettings, entries: Vec<Entry>) -> Self {
        let lines: Vec<String> = entries.iter().map(ToString::to_string).collect();
        let digest_of_entries = Digest::of_lines(lines.iter().map(String::as_str));
        Self {
            digest: digest(FORMAT, &settings, [&digest_of_entries]),
            settings,
            names: Vec::new(),
            slices: vec![Arc::new(Slice {
                digest: digest_of_entries,
                entries,
            })],
        }
    }

    /// All entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.slices.iter().flat_map(|slice| &slice.entries)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slices.iter().map(|slice| slice.entries.len()).sum()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same without the entries that are not `wanted`. Slices that lose none stay
    /// shared.
    #[must_use]
    pub fn retain(&self, wanted: impl Fn(&Entry) -> bool) -> Self {
        let slices = self.slices.iter().map(|slice| {
            if slice.entries.iter().all(&wanted) {
                return Arc::clone(slice);
            }
            Arc::new(Slice {
                digest: slice.digest,
                entries: slice
                    .entries
                    .iter()
                    .filter(|entry| wanted(entry))
                    .cloned()
                    .collect(),
            })
        });
        Self {
            slices: slices.collect(),
            ..self.clone()
        }
    }
}

/// The entries that only `old` has, and those that only `new` has. What both share is
/// not looked into.
#[must_use]
pub fn difference<'a>(old: &'a Snapshot, new: &'a Snapshot) -> (Vec<&'a Entry>, Vec<&'a Entry>) {
    let addresses = |snapshot: &Snapshot| -> BTreeSet<*const Slice> {
        snapshot.slices.iter().map(Arc::as_ptr).collect()
    };
    let (had, has) = (addresses(old), addresses(new));
    let only = |snapshot: &'a Snapshot, other: &BTreeSet<*const Slice>| -> BTreeSet<&'a Entry> {
        let slices = snapshot.slices.iter();
        slices
            .filter(|slice| !other.contains(&Arc::as_ptr(slice)))
            .flat_map(|slice| &slice.entries)
            .collect()
    };
    let (mut gone, mut come) = (only(old, &has), only(new, &had));
    let both: Vec<&Entry> = gone.intersection(&come).copied().collect();
    for entry in both {
        gone.remove(entry);
        come.remove(entry);
    }
    (gone.into_iter().collect(), come.into_iter().collect())
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

/// Puts a header and its slices together and checks the digest over all.
///
/// # Errors
/// [`BadConfig`] where something is missing, unknown or not what its hash says.
pub fn assemble(
    header: &GatewayConfigSpec,
    slices: &BTreeMap<String, Arc<Slice>>,
) -> Result<Snapshot, BadConfig> {
    if header.format != FORMAT {
        return Err(BadConfig::UnknownFormat(header.format));
    }
    let named = header.slices.iter().map(|name| {
        let slice = slices.get(name);
        slice
            .cloned()
            .ok_or_else(|| BadConfig::SliceMissing(name.clone()))
    });
    let slices: Vec<Arc<Slice>> = named.collect::<Result<_, _>>()?;
    let digests = slices.iter().map(|slice| &slice.digest);
    let got = digest(header.format, &header.settings, digests);
    if got.to_string() != header.digest {
        return Err(BadConfig::DigestDiffers {
            expected: header.digest.clone(),
            got,
        });
    }
    Ok(Snapshot {
        digest: got,
        settings: header.settings.clone(),
        names: header.slices.clone(),
        slices,
    })
}

/// Reads the slices that a header names, and puts all together.
///
/// # Errors
/// As [`Slice::read`] and [`assemble`].
pub fn receive(
    header: &GatewayConfigSpec,
    slices: &BTreeMap<String, RuleSliceSpec>,
) -> Result<Snapshot, BadConfig> {
    let named = header.slices.iter().filter_map(|name| {
        let spec = slices.get(name)?;
        let slice = Slice::read(&header.gateway.name, name, spec);
        Some(slice.map(|slice| (name.clone(), Arc::new(slice))))
    });
    assemble(header, &named.collect::<Result<_, _>>()?)
}
