//! Rules for addresses, prefixes and interface addresses.

use kube::core::Rule;

use super::{each, fixed, rule, text};

const HOST_REMEDY: &str = " is not the address of a host: write a unicast IPv4 or IPv6 address without prefix length, zone, leading zeros or an IPv4 address inside IPv6; 0.0.0.0/8, loopback, link-local, multicast and broadcast are refused";

const NEXT_HOP_REMEDY: &str = " is not a next hop: write a unicast or link-local IPv4 or IPv6 address without prefix length, zone, leading zeros or an IPv4 address inside IPv6";

/// Whether `x` is an address in plain text: no IPv4 in the text of IPv6.
fn plain(x: &str) -> String {
    format!("isIP({x}) && !({x}.contains(':') && {x}.contains('.'))")
}

/// Whether `x` is what `address::parse_host` takes.
pub(super) fn host(x: &str) -> String {
    format!(
        "({} && ip({x}).isGlobalUnicast() && !{x}.startsWith('0.') && !cidr('::/80').containsIP({x}))",
        plain(x)
    )
}

/// Whether `x` is what `address::parse_next_hop` takes.
pub(super) fn next_hop(x: &str) -> String {
    format!(
        "({} && (ip({x}).isGlobalUnicast() || ip({x}).isLinkLocalUnicast()) && !{x}.startsWith('0.') && !cidr('::/80').containsIP({x}))",
        plain(x)
    )
}

/// Whether `x` is a host address with a prefix length of 1 to 32 or 128.
fn with_length(x: &str) -> String {
    format!(
        "isCIDR({x}) && {x}.matches('/[1-9][0-9]{{0,2}}$') && {}",
        host(&address_of(x))
    )
}

/// The address part of `x`, which has a `/`.
fn address_of(x: &str) -> String {
    format!("{x}.substring(0, {x}.indexOf('/'))")
}

/// Whether `x` is what `address::Prefix` parses.
pub(super) fn prefix(x: &str) -> String {
    format!("({} && cidr({x}) == cidr({x}).masked())", with_length(x))
}

/// Whether the IPv4 address `x` is the broadcast address of its subnet of
/// `length`, an expression.
pub(super) fn is_broadcast(x: &str, length: &str) -> String {
    format!(
        "[{x}.split('.')].exists(o, (int(o[0]) * 16777216 + int(o[1]) * 65536 + int(o[2]) * 256 + int(o[3]) + 1) % {} == 0)",
        block_size(length)
    )
}

/// How many addresses an IPv4 prefix of `length` has, as an expression.
fn block_size(length: &str) -> String {
    let sizes: Vec<String> = (0..=32_u32)
        .map(|l| (1_u64 << (32 - l)).to_string())
        .collect();
    format!("[{}][{length}]", sizes.join(", "))
}

/// Whether `x` is what `address::InterfaceAddress` parses.
fn interface(x: &str) -> String {
    let host_in_subnet = format!(
        "({x}.contains(':') ? (cidr({x}).prefixLength() > 126 || !(cidr({x}) == cidr({x}).masked())) \
         : (cidr({x}).prefixLength() > 30 || (!(cidr({x}) == cidr({x}).masked()) && !{})))",
        is_broadcast(&address_of(x), &format!("cidr({x}).prefixLength()"))
    );
    format!("({} && {host_in_subnet})", with_length(x))
}

/// What a prefix of the family of `x` looks like.
fn prefix_remedy(field: &str, x: &str) -> String {
    format!(
        "{} + {x} + ({x}.contains(':') ? {} : {}) + {}",
        text(&format!("{field}: ")),
        text(" is not an IPv6 prefix: write ADDRESS/LENGTH with a length of 1 to 128"),
        text(" is not an IPv4 prefix: write ADDRESS/LENGTH with a length of 1 to 32"),
        text(", without sign, leading zero or host bits, of a unicast subnet"),
    )
}

/// A string that is a host address, where `family` (`IPv4`, `IPv6`) is given of
/// that family only.
pub(crate) fn host_field(field: &str, family: Option<&str>) -> Rule {
    let (also, remedy) = match family {
        Some("IPv4") => (" && !self.contains(':')", "; this field is for IPv4"),
        Some(_) => (" && self.contains(':')", "; this field is for IPv6"),
        None => ("", ""),
    };
    rule(
        format!("{}{also}", host("self")),
        format!(
            "{} + self + {}",
            text(&format!("{field}: ")),
            text(&format!("{HOST_REMEDY}{remedy}"))
        ),
    )
}

/// A string that is an address in canonical form.
pub(crate) fn canonical(field: &str) -> Rule {
    rule(
        "isIP(self) && ip.isCanonical(self)",
        format!(
            "{} + self + {}",
            text(&format!("{field}: ")),
            text(" is not an address in canonical form (RFC 5952): write it so")
        ),
    )
}

/// A string that is a next hop.
pub(crate) fn next_hop_field(field: &str) -> Rule {
    rule(
        next_hop("self"),
        format!(
            "{} + self + {}",
            text(&format!("{field}: ")),
            text(NEXT_HOP_REMEDY)
        ),
    )
}

/// A string that is a prefix.
pub(crate) fn prefix_field(field: &str) -> Rule {
    rule(prefix("self"), prefix_remedy(field, "self"))
}

/// A list of host addresses.
pub(crate) fn hosts(field: &str) -> Rule {
    each(
        &host("x"),
        &format!(
            "{} + x + {}",
            text(&format!("{field}: ")),
            text(HOST_REMEDY)
        ),
    )
}

/// A list of prefixes.
pub(crate) fn prefixes(field: &str) -> Rule {
    each(&prefix("x"), &prefix_remedy(field, "x"))
}

/// A list of prefixes without duplicates, however they are spelled.
pub(crate) fn unique_prefixes(field: &str) -> Rule {
    let once = "!isCIDR(x) || self.exists_one(y, isCIDR(y) && cidr(y) == cidr(x))";
    each(
        once,
        &format!(
            "{} + x + {}",
            text(&format!("{field}: ")),
            text(" stands there twice: write it once")
        ),
    )
}

/// A list of interface addresses.
pub(crate) fn interface_addresses(field: &str) -> Rule {
    each(
        &interface("x"),
        &format!(
            "{} + x + ({} ? {} : {}) + {}",
            text(&format!("{field}: ")),
            "x.contains(':')",
            text(
                " is not an IPv6 interface address: write ADDRESS/LENGTH with a length of 1 to 128"
            ),
            text(
                " is not an IPv4 interface address: write ADDRESS/LENGTH with a length of 1 to 32"
            ),
            text(
                ", the unicast address of a host with the prefix length of its subnet, not the network or broadcast address of that subnet"
            ),
        ),
    )
}

/// A list of at most two texts that begin with an address, one per family.
pub(crate) fn at_most_one_per_family(field: &str) -> Rule {
    rule(
        "self.size() < 2 || self[0].contains(':') != self[1].contains(':')",
        format!(
            "{} + self[0] + ' and ' + self[1] + (self[0].contains(':') ? ' are both IPv6' : ' are both IPv4') + {}",
            text(&format!("{field}: ")),
            text(": write at most one address per family"),
        ),
    )
}

/// A rule that every route `r` of a `lan` must meet.
fn each_route(condition: &str, message: &str) -> Rule {
    rule(
        format!("!has(self.routes) || self.routes.all(r, {condition})"),
        format!("self.routes.map(r, ({condition}) ? '' : ({message})).filter(m, m != '')[0]"),
    )
}

const UNPARSED: &str = "!isCIDR(r.to) || !isIP(r.via)";

/// `lan`: a router and the subnet behind it are of one family.
pub(crate) fn route_in_one_family() -> Rule {
    each_route(
        "r.to.contains(':') == r.via.contains(':')",
        "'lan.routes: to ' + r.to + ' via ' + r.via + ' mixes families: name a router of the same family as the subnet'",
    )
}

/// `lan`: a router does not lie in the subnet behind it.
pub(crate) fn router_before_subnet() -> Rule {
    each_route(
        &format!("{UNPARSED} || !cidr(r.to).containsIP(r.via)"),
        "'lan.routes: via ' + r.via + ' lies in to ' + r.to + ' and cannot be the way there: name a router of the inside network'",
    )
}

/// `lan`: a router lies in the LAN's own subnet, where that stands in
/// `lan.addresses`, and is not the gateway itself.
pub(crate) fn router_is_neighbour() -> Rule {
    each_route(
        &format!(
            "{UNPARSED} || !has(self.addresses) || self.addresses.all(a, !isCIDR(a) || a.contains(':') != r.via.contains(':') || \
             (cidr(a).masked().containsIP(r.via) && !(ip(r.via) == cidr(a).ip())))"
        ),
        "'lan.routes: via ' + r.via + ' is no neighbour: name a router in the subnet of lan.addresses, other than that address itself'",
    )
}

/// `lan`: eth0 has the pod's addresses and takes no others.
pub(crate) fn addresses_of_attachment() -> Rule {
    fixed(
        "has(self.networkAttachment) || !has(self.addresses)",
        "lan.addresses: without lan.networkAttachment the inside network is eth0, which has the pod's addresses: remove lan.addresses, or name the attachment",
    )
}

/// `lan`: no subnet has two routes.
pub(crate) fn one_route_each() -> Rule {
    fixed(
        "!has(self.routes) || self.routes.all(r, !isCIDR(r.to) || self.routes.exists_one(o, isCIDR(o.to) && cidr(o.to) == cidr(r.to)))",
        "lan.routes: two routes go to the same subnet: keep one of them",
    )
}
