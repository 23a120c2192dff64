//! Rules for names, interfaces, attachments and selectors.

use kube::core::Rule;

use super::{each, fixed, rule, text};

const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const SUBDOMAIN_REMEDY: &str = " is not the name of an object: write lower-case letters, digits, - and . that begin and end with a letter or digit";

/// A string that is a DNS label.
pub(crate) fn dns_label(field: &str) -> Rule {
    rule(
        format!("self.matches('{LABEL}')"),
        format!(
            "{} + self + {}",
            text(&format!("{field}: ")),
            text(
                " is not a DNS label: write lower-case letters, digits and - that begin and end with a letter or digit"
            )
        ),
    )
}

/// A string that is the name of an object.
pub(crate) fn dns_subdomain(field: &str) -> Rule {
    rule(
        format!("self.matches('{SUBDOMAIN}')"),
        format!(
            "{} + self + {}",
            text(&format!("{field}: ")),
            text(SUBDOMAIN_REMEDY)
        ),
    )
}

/// A list of names of objects.
pub(crate) fn dns_subdomains(field: &str) -> Rule {
    each(
        &format!("x.matches('{SUBDOMAIN}')"),
        &format!(
            "{} + x + {}",
            text(&format!("{field}: ")),
            text(SUBDOMAIN_REMEDY)
        ),
    )
}

/// A list without duplicates; its elements are strings or enums.
pub(crate) fn unique_items(field: &str) -> Rule {
    rule(
        "self.all(x, self.exists_one(y, x == y))",
        format!(
            "{} + self.filter(x, !self.exists_one(y, x == y))[0] + {}",
            text(&format!("{field}: ")),
            text(" stands there twice: write it once")
        ),
    )
}

/// The name of a gateway, which names of other objects are made of.
pub(crate) fn gateway_name() -> Rule {
    rule(
        "self.metadata.name.size() <= 40 && !self.metadata.name.contains('.')",
        "'metadata.name: ' + self.metadata.name + ' cannot name a gateway: write at most 40 characters, without dots'",
    )
}

/// The name of an interface that a network attachment makes.
pub(crate) fn interface_name(field: &str) -> Rule {
    rule(
        "self.matches('^[a-zA-Z0-9][-a-zA-Z0-9_.]*$') && !(self in ['eth0', 'lo', 'all', 'default'])",
        format!(
            "{} + self + {}",
            text(&format!("{field}: ")),
            text(
                " cannot name an interface of an attachment: write up to 15 letters, digits, -, _ and . that begin with a letter or digit; eth0, lo, all and default are taken"
            )
        ),
    )
}

/// A NetworkAttachmentDefinition: `namespace/name` or `name`.
pub(crate) fn attachment(field: &str) -> Rule {
    rule(
        "self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        format!(
            "{} + self + {}",
            text(&format!("{field}: ")),
            text(
                " does not name a NetworkAttachmentDefinition: write namespace/name, or the name alone where it is in the namespace of the gateway"
            )
        ),
    )
}

/// Uplinks have names of their own.
pub(crate) fn uplink_names() -> Rule {
    fixed(
        "self.all(x, self.exists_one(y, x.name == y.name))",
        "uplinks.name: two uplinks have one name: give each its own",
    )
}

/// Uplinks have interfaces of their own.
pub(crate) fn uplink_interfaces() -> Rule {
    fixed(
        "self.all(x, self.exists_one(y, x.interface == y.interface))",
        "uplinks.interface: two uplinks have one interface: give each its own",
    )
}

/// A pool stands on one uplink.
pub(crate) fn uplink_pools() -> Rule {
    fixed(
        "self.all(x, x.pools.all(p, self.exists_one(y, p in y.pools)))",
        "uplinks.pools: one pool stands on two uplinks: a pool stands on one uplink of a gateway",
    )
}

/// The spec of a gateway: no uplink has the interface of the LAN.
pub(crate) fn lan_interface() -> Rule {
    rule(
        "!has(self.lan) || self.uplinks.all(x, x.interface != self.lan.interface)",
        "'uplinks.interface: ' + self.lan.interface + ' is the interface of lan as well: give each its own'",
    )
}

/// How many pods a gateway has.
pub(crate) fn replicas() -> Rule {
    fixed(
        "self == 1",
        "replicas: only 1 is supported: write 1; high availability is not built yet",
    )
}

/// A map of annotations without those that Multus reads or writes.
pub(crate) fn no_multus_annotation() -> Rule {
    fixed(
        "self.all(key, !key.startsWith('k8s.v1.cni.cncf.io/') && !key.startsWith('v1.multus-cni.io/'))",
        "template.annotations: keys of Multus (k8s.v1.cni.cncf.io/, v1.multus-cni.io/) are set by the operator: name attachments in uplinks.networkAttachment and lan.networkAttachment",
    )
}

/// `NamespacesFrom`: a selector stands there if and only if it is asked for.
pub(crate) fn selector_iff_asked() -> Rule {
    rule(
        "has(self.selector) == (self.from == 'Selector')",
        "has(self.selector) ? 'selector: not allowed with from: ' + self.from + ': remove it, or write from: Selector' \
         : 'selector: required with from: Selector: add selector.matchLabels'",
    )
}
