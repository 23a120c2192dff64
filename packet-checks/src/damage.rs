//! What a check must notice when it is taken from the gateway.

use crate::plan::{Eip, Family, Own};

/// Something that is taken from the gateway, or changed. In texts `{4}` is `ip` or `ip6`,
/// `{n}` the family's digit, `{s}` and `{o}` the lengths of the two prefixes with an
/// SNAT, `{l}` and `{p}` the gateway's address on the LAN and on the pod network, `{L}` the
/// LAN's prefix, and `{e}` the EIP without rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// A set or map of `inet sluice` loses its elements.
    Set(&'static str),
    /// The same in `arp sluice`.
    ArpSet(&'static str),
    /// A chain loses its rules that contain this text, as `nft list` writes it.
    Rule(&'static str, &'static str),
    /// A chain accepts everything at its beginning.
    Open(&'static str),
    /// The routing rule with this text is deleted.
    RoutingRule(&'static str),
    /// What comes from the LAN is routed by this table, whatever its mark.
    Detour(u32),
    /// A route is deleted from a table.
    Route(&'static str, &'static str),
    /// The proxies that answer for IPv6 addresses, or the routes that make IPv4 ones local.
    Answers,
    /// A setting of the kernel, below `net/`: its name, the wrong value, the usual one.
    Setting(&'static str, &'static str, &'static str),
    /// An interface answers for an IPv6 address, or for an IPv4 one of its subnet: address
    /// and interface.
    Proxy(&'static str, &'static str),
    /// Datagrams to this port start no flow.
    Untracked(u16),
    /// The agent mends nothing and announces nothing, which it does not on any damaged
    /// gateway.
    Idle,
    /// All of these: one alone is made good by another.
    All(Vec<Damage>),
}

impl Damage {
    /// A text with the family's words in it.
    pub(crate) fn fill(text: &str, family: Family) -> String {
        let (word, subnet, own, lan) = match family {
            Family::V4 => ("ip", "24", "32", "10.244.0.0/16"),
            Family::V6 => ("ip6", "80", "128", "fd00:10:244::/64"),
        };
        text.replace("{4}", word)
            .replace("{n}", &family.digit().to_string())
            .replace("{s}", subnet)
            .replace("{o}", own)
            .replace("{l}", &Own::Lan.address(family).to_string())
            .replace("{p}", &Own::Pod.address(family).to_string())
            .replace("{e}", &Eip::Bare.address(family).to_string())
            .replace("{L}", lan)
    }

    /// A shell script that does it in the gateway's network namespace, on tables that nobody
    /// owns. It fails where there is nothing to damage.
    #[must_use]
    pub fn script(&self, family: Family) -> String {
        let ip = match family {
            Family::V4 => "ip -4",
            Family::V6 => "ip -6",
        };
        match self {
            Damage::Set(name) => empty("inet", &Self::fill(name, family)),
            Damage::ArpSet(name) => empty("arp", &Self::fill(name, family)),
            Damage::All(parts) => {
                let parts: Vec<String> = parts
                    .iter()
                    .map(|part| format!("( {} )", part.script(family)))
                    .collect();
                parts.join(" && ")
            }
            Damage::Rule(chain, text) => {
                let text = Self::fill(text, family);
                format!(
                    "set -e; found=$(nft -a list chain inet sluice {chain} | grep -F -- '{text}' | sed 's/.*# handle //'); \
                     test -n \"$found\"; for h in $found; do nft delete rule inet sluice {chain} handle $h; done"
                )
            }
            Damage::Open(chain) => format!("nft insert rule inet sluice {chain} accept"),
            Damage::RoutingRule(text) => {
                let text = Self::fill(text, family);
                format!("{ip} rule del {text}")
            }
            Damage::Detour(table) => format!("{ip} rule add pref 1 iif lan0 lookup {table}"),
            Damage::Route(table, text) => {
                let text = Self::fill(text, family);
                format!("{ip} route del {text} table {table}")
            }
            Damage::Answers => match family {
                Family::V4 => "ip route show table local | grep 'proto 115' | sed 's/ scope.*//' | \
                               while read -r r; do ip route del $r table local || exit 1; done"
                    .to_owned(),
                Family::V6 => "ip -6 neigh show proxy dev eth1 | sed 's/ .*//' | \
                               while read -r a; do ip -6 neigh del proxy $a dev eth1 || exit 1; done"
                    .to_owned(),
            },
            Damage::Setting(path, value, _) => format!("echo {value} > /proc/sys/net/{path}"),
            Damage::Proxy(address, interface) => {
                let address = Self::fill(address, family);
                format!("{ip} neigh add proxy {address} dev {interface}")
            }
            Damage::Untracked(port) => format!(
                "nft 'add chain inet sluice untracked {{ type filter hook prerouting priority -300; }}; \
                 add rule inet sluice untracked udp dport {port} notrack'"
            ),
            Damage::Idle => "true".to_owned(),
        }
    }

    /// A shell script that undoes what no agent mends, after what the checks may have made
    /// of it.
    #[must_use]
    pub fn undo(&self, family: Family) -> Option<String> {
        match self {
            Damage::Setting(path, _, usual) => {
                Some(format!("echo {usual} > /proc/sys/net/{path}"))
            }
            Damage::Proxy(address, interface) => {
                let (n, address) = (family.digit(), Self::fill(address, family));
                Some(format!(
                    "ip -{n} neigh del proxy {address} dev {interface} 2>/dev/null || true"
                ))
            }
            Damage::Detour(_) => Some(format!(
                "ip -{} rule del pref 1 2>/dev/null || true",
                family.digit()
            )),
            Damage::Untracked(_) => Some(
                "nft 'flush chain inet sluice untracked; delete chain inet sluice untracked' 2>/dev/null || true"
                    .to_owned(),
            ),
            Damage::All(parts) => {
                let parts: Vec<String> = parts.iter().filter_map(|p| p.undo(family)).collect();
                (!parts.is_empty()).then(|| parts.join("\n"))
            }
            _ => None,
        }
    }
}

/// Sets and maps are both emptied by one of two words.
fn empty(table: &str, name: &str) -> String {
    format!(
        "nft flush map {table} sluice {name} 2>/dev/null || nft flush set {table} sluice {name}"
    )
}
