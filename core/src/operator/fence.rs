//! What an earlier leader may still write.
//!
//! A header write that an earlier leader sent, or one of our own that got no
//! answer, may reach the API server late and bring back what has been removed
//! since. It carries the header's resourceVersion as it was. So before this
//! leader counts anything as removed from a gateway, it has written the header
//! itself: by publishing, or, where nothing is to be published, by counting in
//! an annotation, which moves the resourceVersion and not the generation.

use sluice_crds::GatewayConfig;

use super::Operator;
use super::action::{Action, Target};
use super::event::{Key, Kind};
use super::subject::Subject;
use crate::identity::Uid;

/// Counts the leaders that have fenced the header.
const ANNOTATION_FENCED: &str = "internal.sluice.dev/fenced";

impl Operator {
    /// Whether no late write can change a site's header any more; if not, it is
    /// seen to.
    pub(super) fn fenced(&mut self, uid: &Uid) -> bool {
        let Some(site) = self.sites.get_mut(uid) else {
            return true;
        };
        let Some(header) = site.history.uid() else {
            return true;
        };
        if site.fenced.as_ref() == Some(header) {
            return true;
        }
        if !site.fence_wanted {
            site.fence_wanted = true;
            self.mark(Subject::Site(uid.clone()));
        }
        false
    }

    /// Writes the header as it is, where that is wanted and nothing else is
    /// about to be written.
    pub(super) fn fence_header(&mut self, uid: &Uid, key: &Key) {
        let wanted = self.sites.get(uid).is_some_and(|site| {
            site.fence_wanted
                && site.pending.is_none()
                && site.fenced.as_ref() != site.history.uid()
        });
        let Some(header) = self.header_of(uid, key).filter(|_| wanted) else {
            return;
        };
        let mut header: GatewayConfig = header.clone();
        header.metadata.managed_fields = None;
        let annotations = header.metadata.annotations.get_or_insert_default();
        let count: u64 = annotations
            .get(ANNOTATION_FENCED)
            .and_then(|n| n.parse().ok())
            .unwrap_or_default();
        let next = count.wrapping_add(1).to_string();
        annotations.insert(ANNOTATION_FENCED.to_owned(), next);
        self.queue.set(
            &Subject::Site(uid.clone()),
            Target::Object(Kind::GatewayConfig, key.clone()),
            Some(Action::WriteHeader(header)),
        );
    }
}
