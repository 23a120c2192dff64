//! Who may refer to whom.

use sluice_crds::NATGateway;
use sluice_crds::address::Prefix;
use sluice_crds::user::{NamespacesFrom, NamespacesFromKind};

use super::super::world::World;

/// Whether `namespace` is among those that an object of namespace `own` allows.
/// `unset` is what holds where the field is not set.
pub(crate) fn namespace_allowed(
    world: &World,
    field: Option<&NamespacesFrom>,
    unset: NamespacesFromKind,
    own: &str,
    namespace: &str,
) -> bool {
    match field.map_or(unset, |f| f.from) {
        NamespacesFromKind::All => true,
        NamespacesFromKind::Same => own == namespace,
        NamespacesFromKind::Selector => {
            let wanted = field.and_then(|f| f.selector.as_ref());
            let facts = world.namespace(namespace);
            wanted.zip(facts).is_some_and(|(wanted, facts)| {
                !wanted.match_labels.is_empty()
                    && wanted
                        .match_labels
                        .iter()
                        .all(|(name, value)| facts.labels.get(name) == Some(value))
            })
        }
    }
}

/// Whether a rule of `namespace` may point at `target` through the gateway: one
/// of the gateway's own namespace anywhere, one of another where the gateway
/// says so, which is nowhere unless set.
pub(crate) fn target_allowed(
    world: &World,
    gateway: &NATGateway,
    gateway_namespace: &str,
    namespace: &str,
    target: Prefix,
) -> bool {
    namespace == gateway_namespace
        || gateway.spec.allowed_targets.iter().any(|allowed| {
            namespace_allowed(
                world,
                Some(&allowed.namespaces),
                NamespacesFromKind::Same,
                gateway_namespace,
                namespace,
            ) && allowed
                .cidrs
                .iter()
                .filter_map(|cidr| cidr.parse::<Prefix>().ok())
                .any(|cidr| cidr.covers(target))
        })
}
