//! Identities that the protocol turns on: instances, terms, revisions, digests.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

#[cfg(test)]
mod tests;

/// UID of an API object: one life of a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(String);

impl Uid {
    /// Takes the text as it stands in `metadata.uid`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it stands in `metadata.uid`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One life of a gateway's kernel state. A container restart keeps it; a new
/// pod, a new sandbox or a reboot of the node is another instance.
///
/// Text form, also `holderIdentity` of the gateway's Lease:
/// `pod/<pod UID>/<boot ID>/<network namespace cookie>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// UID of the Pod.
    pub pod_uid: Uid,
    /// `/proc/sys/kernel/random/boot_id` of the node.
    pub boot_id: String,
    /// `SO_NETNS_COOKIE` of the pod's network namespace (socket.h).
    pub netns_cookie: u64,
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pod/{}/{}/{}",
            self.pod_uid, self.boot_id, self.netns_cookie
        )
    }
}

/// The text is not an instance of the form `pod/<uid>/<boot ID>/<cookie>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an instance: want pod/<pod UID>/<boot ID>/<network namespace cookie>")]
pub struct BadInstanceId(pub String);

impl FromStr for InstanceId {
    type Err = BadInstanceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadInstanceId(text.to_owned());
        let mut parts = text.split('/');
        let (Some("pod"), Some(uid), Some(boot), Some(cookie), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(bad());
        };
        if uid.is_empty() || boot.is_empty() || !cookie.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        Ok(Self {
            pod_uid: Uid::new(uid),
            boot_id: boot.to_owned(),
            netns_cookie: cookie.parse().map_err(|_| bad())?,
        })
    }
}

/// Fencing token of a holder: which Lease, and how often it has changed hands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// UID of the gateway's Lease.
    pub lease_uid: Uid,
    /// `leaseTransitions` of that Lease.
    pub transitions: i64,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.transitions, self.lease_uid)
    }
}

/// A revision of a gateway's config: the header's UID and generation, both
/// given by the API server. Generations of different UIDs do not compare.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    /// UID of the GatewayConfig.
    pub uid: Uid,
    /// `metadata.generation` of the GatewayConfig.
    pub generation: i64,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.generation, self.uid)
    }
}

/// SHA-256 of some canonical text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of the bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Digest of lines, each followed by a newline.
    pub fn of_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for line in lines {
            hash.update(line.as_bytes());
            hash.update(b"\n");
        }
        Self(hash.finalize().into())
    }

    /// The bytes themselves.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 26 hex digits (104 bits), for names of slices and entries.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(26);
        text
    }

    /// The first 8 bytes as a number, for choices that must be the same everywhere.
    #[must_use]
    pub fn to_u64(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
