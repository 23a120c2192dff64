//! Which objects an object names.

use sluice_crds::internal::ClaimOwnerKind;
use sluice_crds::names::{CHILD_PREFIX, LABEL_GATEWAY_UID};
use sluice_crds::{AddressClaim, EIP, NATGateway, SNAT};

use super::super::event::Key;
use super::store::{Meta, Record};
use crate::identity::Uid;

/// Name of an owner of addresses: kind, namespace, name.
pub(crate) type OwnerName = (ClaimOwnerKind, String, String);

/// The name of a cluster-scoped object.
pub(crate) fn cluster_key(name: &str) -> Key {
    Key {
        namespace: String::new(),
        name: name.to_owned(),
    }
}

/// The gateway that an EIP names.
pub(crate) fn gateway_of(eip: &EIP) -> Key {
    let reference = &eip.spec.gateway;
    Key {
        namespace: reference
            .namespace
            .clone()
            .or_else(|| eip.metadata.namespace.clone())
            .unwrap_or_default(),
        name: reference.name.clone(),
    }
}

/// `namespace/name`, or `name` in the given namespace.
pub(crate) fn attachment_key(text: &str, namespace: &str) -> Key {
    let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
    Key {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// The gateway that a child or Lease is named after.
pub(super) fn gateway_of_child(child: &Key) -> Key {
    let gateway = child.name.strip_prefix(CHILD_PREFIX).unwrap_or_default();
    sibling(child, gateway)
}

/// Another name in the same namespace.
pub(crate) fn sibling(of: &Key, name: &str) -> Key {
    Key {
        namespace: of.namespace.clone(),
        name: name.to_owned(),
    }
}

/// EIPs that a SNAT names.
pub(crate) fn eips_of(snat: &SNAT) -> Vec<Key> {
    let key = snat.key();
    snat.spec
        .eips
        .iter()
        .map(|e| sibling(&key, &e.name))
        .collect()
}

/// Whom a claim is for.
pub(super) fn owner_name(claim: &AddressClaim) -> OwnerName {
    let owner = &claim.spec.owner;
    (owner.kind, owner.namespace.clone(), owner.name.clone())
}

/// Pools that the uplinks of a gateway name.
pub(super) fn pools_of(gateway: &NATGateway) -> impl Iterator<Item = &String> {
    gateway.spec.uplinks.iter().flat_map(|u| &u.pools)
}

/// The life of a gateway that an object is labelled with.
pub(super) fn site_label<T: Meta>(object: &T) -> Uid {
    Uid::new(object.label(LABEL_GATEWAY_UID).unwrap_or_default())
}
