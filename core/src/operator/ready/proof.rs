//! What the holder's report proves.

use std::net::IpAddr;

use sluice_crds::condition::Reason;
use sluice_crds::user::HolderRef;

use super::super::lease::Holder;
use super::super::site::Site;
use super::Lack;
use crate::identity::Uid;

impl Site {
    /// Whether all that an object asks is proved to be in the holder's kernel.
    pub(super) fn programmed(&self, uid: &Uid) -> Result<(), Lack> {
        match &self.evidence.holder {
            Holder::Nobody => return Err(Lack::NoHolder),
            Holder::Lost { .. } => return Err(Lack::Lost),
            Holder::Held { .. } => {}
        }
        if !self.evidence.active {
            return Err(Lack::Passive);
        }
        let (Some(placed), Some(proven), Some(since)) = (
            self.desired.get(uid),
            self.evidence.proven,
            self.published_since(uid),
        ) else {
            return Err(Lack::Pending);
        };
        if since > proven {
            return Err(Lack::Pending);
        }
        for entry in &placed.entries {
            if let Some((digest, words)) = self.evidence.rejected.get(&entry.key())
                && *digest == entry.digest().short()
            {
                return Err(Lack::Rejected(words.clone()));
            }
        }
        Ok(())
    }

    /// The generation that brought the last of an object's lines, where the
    /// current header has what the object asks.
    pub(super) fn published_since(&self, uid: &Uid) -> Option<i64> {
        let placed = self.desired.get(uid)?;
        let published = self.history.published(uid)?;
        let same = published.len() == placed.lines.len()
            && published
                .iter()
                .zip(&placed.lines)
                .all(|(p, l)| p.line == *l);
        same.then(|| published.iter().map(|p| p.generation).max())?
    }

    /// Whether every entry of an object in the current header has been applied,
    /// or refused by the kernel.
    pub(super) fn covered(&self, uid: &Uid) -> bool {
        self.history.published(uid).is_none_or(|lines| {
            lines
                .iter()
                .all(|l| self.evidence.proven.is_some_and(|p| l.generation <= p))
        })
    }

    /// Why an address does not work, if so.
    pub(super) fn unusable(
        &self,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> Option<(String, String)> {
        let named = |reason: &str| {
            if reason.is_empty() {
                Reason::AddressNotUsable.to_string()
            } else {
                reason.to_owned()
            }
        };
        if let Some((reason, words)) = &self.evidence.blocked {
            return Some((named(reason), words.clone()));
        }
        let mut addresses = addresses;
        addresses.find_map(|a| {
            let (reason, words) = self.evidence.unusable.get(&a)?;
            Some((named(reason), format!("{a}: {words}")))
        })
    }

    /// The current holder, as an EIP's status names it.
    pub(crate) fn holder_ref(&self) -> Option<HolderRef> {
        match &self.evidence.holder {
            Holder::Held { instance, term } => Some(HolderRef {
                instance: instance.clone(),
                term: term.transitions,
                lease_uid: term.lease_uid.to_string(),
                hosting: self.evidence.hosting.clone(),
            }),
            Holder::Nobody | Holder::Lost { .. } => None,
        }
    }
}
