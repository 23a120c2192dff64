//! Rules for what a gateway's data plane takes.

use kube::core::Rule;

use super::{fixed, rule, text};

const REMOTE: &str =
    "(tcp|ssl):([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?|\\\\[[0-9a-fA-F:.]+\\\\]):[1-9][0-9]{0,4}";

/// Servers of an OVSDB database, with commas between.
pub(crate) fn ovsdb_remotes(field: &str) -> Rule {
    rule(
        format!("self.matches('^{REMOTE}(,{REMOTE})*$')"),
        format!(
            "{} + self + {}",
            text(&format!("{field}: ")),
            text(
                " names no servers of a database: write tcp:HOST:PORT or ssl:HOST:PORT, several with commas between, IPv6 addresses in brackets"
            )
        ),
    )
}

/// `Ovn`: certificates for servers that ask for them.
pub(crate) fn secret_for_ssl() -> Rule {
    fixed(
        "has(self.tlsSecret) || !(self.northbound.contains('ssl:') || self.southbound.contains('ssl:'))",
        "ovn.tlsSecret: not set, and a server is named by ssl: name a Secret with ca.crt, tls.crt and tls.key",
    )
}

/// The spec of a gateway: where OVN is, if and only if OVN translates.
pub(crate) fn ovn_iff_asked() -> Rule {
    rule(
        "has(self.ovn) == (self.dataplane == 'OVN')",
        "has(self.ovn) ? 'ovn: not allowed with dataplane ' + self.dataplane + ': remove it, or create a gateway with dataplane OVN' \
         : 'ovn: required with dataplane OVN: name northbound, southbound, router and gatewayPort'",
    )
}

/// The spec of a gateway: its own pod stands on every uplink.
pub(crate) fn attachments_of_pods() -> Rule {
    fixed(
        "self.dataplane == 'OVN' || self.uplinks.all(x, has(x.networkAttachment))",
        "uplinks.networkAttachment: required with dataplane nftables: name a NetworkAttachmentDefinition for each uplink",
    )
}

/// What the chassis of an OVN network do not do: a field of a gateway's spec, when it asks
/// for nothing, and what to do where it does.
const NOT_WITH_OVN: [(&str, &str, &str); 8] = [
    (
        "uplinks",
        "self.uplinks.size() == 1",
        "write one, for ovn.gatewayPort is one; another gateway serves another port",
    ),
    (
        "uplinks.networkAttachment",
        "self.uplinks.all(x, !has(x.networkAttachment))",
        "remove it, traffic comes by ovn.gatewayPort",
    ),
    (
        "uplinks.address",
        "self.uplinks.all(x, !has(x.address))",
        "remove it, the port has its own addresses",
    ),
    (
        "lan",
        "!has(self.lan)",
        "remove it, inside hosts are behind ovn.router",
    ),
    (
        "flowLog",
        "!has(self.flowLog) || self.flowLog == 'Disabled'",
        "remove it, or create a gateway with dataplane nftables",
    ),
    (
        "mssClamp",
        "!has(self.mssClamp)",
        "remove it, or create a gateway with dataplane nftables",
    ),
    (
        "neighbours",
        "!has(self.neighbours)",
        "remove it, the chassis watch their next hops themselves",
    ),
    (
        "pingEIPs",
        "!has(self.pingEIPs) || self.pingEIPs",
        "remove it, which addresses answer ping is the matter of ovn.router",
    ),
];

/// The spec of a gateway: nothing of [`NOT_WITH_OVN`]; the message names the first.
pub(crate) fn not_with_ovn() -> Rule {
    let conditions: Vec<String> = NOT_WITH_OVN
        .iter()
        .map(|(_, condition, _)| format!("({condition})"))
        .collect();
    let mut message = text("");
    for (field, condition, remedy) in NOT_WITH_OVN.iter().rev() {
        let words = text(&format!(
            "{field}: dataplane OVN does not take it so: {remedy}"
        ));
        message = format!("!({condition}) ? {words} : {message}");
    }
    rule(
        format!("self.dataplane != 'OVN' || ({})", conditions.join(" && ")),
        message,
    )
}
