//! Rules for pools: subnets, and ranges of addresses in them.

use kube::core::Rule;

use super::address::{host, is_broadcast, prefix};
use super::{each, fixed, rule, text};

/// An expression for three numbers whose order is that of the addresses of one
/// family. The pieces of a split string have no known length, so nothing here
/// costs by the length of one.
fn key(x: &str) -> String {
    let digit = |i: u8| format!("'0123456789abcdef'.indexOf(g.charAt({i}))");
    // The number that the hex digits of g write.
    let group = format!(
        "(g.size() == 1 ? {0} : g.size() == 2 ? {0} * 16 + {1} : g.size() == 3 ? {0} * 256 + {1} * 16 + {2} : {0} * 4096 + {1} * 256 + {2} * 16 + {3})",
        digit(0),
        digit(1),
        digit(2),
        digit(3)
    );
    // p: the groups, one of them empty where :: stands; e: the places of empty
    // ones; v: the eight numbers.
    let v6 = format!(
        "[((({x}.startsWith('::') ? '0' : '') + {x} + ({x}.endsWith('::') ? '0' : '')).lowerAscii().split(':'))]\
         .map(p, [[0, 1, 2, 3, 4, 5, 6, 7].filter(i, i < p.size() && p[i].size() == 0)]\
         .map(e, [0, 1, 2, 3, 4, 5, 6, 7].map(i, e.size() == 0 || i < e[0] ? p[i] : i - 8 + p.size() > e[0] ? p[i - 8 + p.size()] : '0').map(g, {group})))[0]\
         .map(v, [v[0] * 4294967296 + v[1] * 65536 + v[2], v[3] * 4294967296 + v[4] * 65536 + v[5], v[6] * 65536 + v[7]])[0]"
    );
    let v4 =
        format!("[{x}.split('.')].map(o, [int(o[0]) * 256 + int(o[1]), int(o[2]), int(o[3])])[0]");
    format!("({x}.contains(':') ? {v6} : {v4})")
}

/// Whether the address of key `a` is not after that of key `b`.
fn in_order(a: &str, b: &str) -> String {
    format!(
        "({a}[0] < {b}[0] || ({a}[0] == {b}[0] && ({a}[1] < {b}[1] || ({a}[1] == {b}[1] && {a}[2] <= {b}[2]))))"
    )
}

/// The first address of the range `x`, which has a `-`.
fn first_of(x: &str) -> String {
    format!("{x}.substring(0, {x}.indexOf('-'))")
}

/// The last address of the range `x`, which has a `-`.
fn last_of(x: &str) -> String {
    format!("{x}.substring({x}.indexOf('-') + 1)")
}

/// Whether `x` is what `address::AddressRange` parses.
pub(super) fn range(x: &str) -> String {
    let (first, last) = (first_of(x), last_of(x));
    format!(
        "({x}.contains('-') ? ({} && {} && {first}.contains(':') == {last}.contains(':') && [[{}, {}]].all(k, {})) \
         : {x}.contains('/') ? {} : {})",
        host(&first),
        host(&last),
        key(&first),
        key(&last),
        in_order("k[0]", "k[1]"),
        prefix(x),
        host(x)
    )
}

/// Whether all of the range `x` lies in the prefix `subnet`.
fn inside(subnet: &str, x: &str) -> String {
    format!(
        "({x}.contains('/') ? cidr({subnet}).containsCIDR({x}) \
         : {x}.contains('-') ? (cidr({subnet}).containsIP({}) && cidr({subnet}).containsIP({})) : cidr({subnet}).containsIP({x}))",
        first_of(x),
        last_of(x)
    )
}

/// Whether the address `a` is the network or the broadcast address of
/// `self.cidr`. Neither exists in /31, /32, /127 and /128, and IPv6 has no
/// broadcast.
fn is_edge(a: &str) -> String {
    let length = "cidr(self.cidr).prefixLength()";
    format!(
        "(({length} <= ({a}.contains(':') ? 126 : 30)) && (ip({a}) == cidr(self.cidr).ip() || (!{a}.contains(':') && {})))",
        is_broadcast(a, length)
    )
}

/// A rule that each element `x` of `ranges` or `exclude` must meet, in a subnet
/// whose `cidr` is one.
fn each_range(field: &str, condition: &str, message: &str) -> Rule {
    rule(
        format!("!has(self.{field}) || !isCIDR(self.cidr) || self.{field}.all(x, {condition})"),
        format!(
            "self.{field}.map(x, ({condition}) ? '' : {} + x + {message}).filter(m, m != '')[0]",
            text(&format!("subnets.{field}: "))
        ),
    )
}

/// A list of ranges: each is one.
pub(crate) fn ranges(field: &str) -> Rule {
    each(
        &range("x"),
        &format!(
            "{} + x + {}",
            text(&format!("{field}: ")),
            text(
                " is not a range: write first-last with the lower address first, a prefix without host bits, or one address; unicast, of one family"
            )
        ),
    )
}

/// One subnet: its ranges, or what it excludes, lie in it.
pub(crate) fn ranges_inside(field: &str) -> Rule {
    each_range(
        field,
        &format!("(!{} || {})", range("x"), inside("self.cidr", "x")),
        "' does not lie in cidr ' + self.cidr + ': keep to the subnet'",
    )
}

/// One subnet: no range begins or ends with an address that no host has.
pub(crate) fn ranges_of_hosts() -> Rule {
    let (first, last) = (first_of("x"), last_of("x"));
    each_range(
        "ranges",
        &format!(
            "(!{} || x.contains('/') || (x.contains('-') ? (!{} && !{}) : !{}))",
            range("x"),
            is_edge(&first),
            is_edge(&last),
            is_edge("x")
        ),
        "' begins or ends with the network or broadcast address of cidr ' + self.cidr + ': leave those out'",
    )
}

/// One subnet: no address stands in two ranges.
pub(crate) fn ranges_apart() -> Rule {
    // Of each entry: its place, whether it is a prefix, the keys of its first
    // and its last address; the first address again, as an address.
    let keyed = format!(
        "self.ranges.map(x, x.contains('-') ? [{}, {}] : x.contains('/') ? [{address}, {address}] : [{single}, {single}])",
        key(&first_of("x")),
        key(&last_of("x")),
        address = key("x.substring(0, x.indexOf('/'))"),
        single = key("x"),
    );
    // i and j are places. A prefix holds an address where its network does; a
    // range of addresses where the keys are in order.
    let holds = |i: &str, j: &str| {
        format!(
            "(self.ranges[{i}].contains('/') ? cidr(self.ranges[{i}]).containsIP({}) : ({} && {}))",
            first_address(&format!("self.ranges[{j}]")),
            in_order(&format!("k[{i}][0]"), &format!("k[{j}][0]")),
            in_order(&format!("k[{j}][0]"), &format!("k[{i}][1]")),
        )
    };
    let places: Vec<String> = (0..32).map(|i| i.to_string()).collect();
    let places = format!("[{}]", places.join(", "));
    fixed(
        format!(
            "!has(self.ranges) || !self.ranges.all(x, {}) || [{keyed}].all(k, {places}.all(i, i >= k.size() || {places}.all(j, j >= i || self.ranges[i].contains(':') != self.ranges[j].contains(':') || !({} || {}))))",
            range("x"),
            holds("i", "j"),
            holds("j", "i")
        ),
        "subnets.ranges: two ranges of a subnet overlap: write each address once",
    )
}

/// The first address of the range `x` of any form.
fn first_address(x: &str) -> String {
    format!(
        "({x}.contains('-') ? {} : {x}.contains('/') ? {x}.substring(0, {x}.indexOf('/')) : {x})",
        first_of(x)
    )
}

/// One subnet: its next hop is of its family.
pub(crate) fn gateway_family() -> Rule {
    rule(
        "!has(self.gateway) || self.gateway.contains(':') == self.cidr.contains(':')",
        "'subnets.gateway: ' + self.gateway + ' is not of the family of cidr ' + self.cidr + ': name a next hop of the same family'",
    )
}

/// One subnet: its next hop is a host.
pub(crate) fn gateway_is_host() -> Rule {
    rule(
        format!(
            "!has(self.gateway) || !isCIDR(self.cidr) || !isIP(self.gateway) || self.gateway.contains(':') != self.cidr.contains(':') || !{}",
            is_edge("self.gateway")
        ),
        "'subnets.gateway: ' + self.gateway + ' is the network or broadcast address of cidr ' + self.cidr + ': name the address of a router'",
    )
}

/// The subnets of a pool do not overlap.
pub(crate) fn subnets_apart() -> Rule {
    let apart = "!isCIDR(x.cidr) || self.exists_one(y, isCIDR(y.cidr) && (cidr(y.cidr).containsCIDR(x.cidr) || cidr(x.cidr).containsCIDR(y.cidr)))";
    rule(
        format!("self.all(x, {apart})"),
        format!(
            "self.map(x, ({apart}) ? '' : 'subnets.cidr: ' + x.cidr + ' overlaps another subnet of the pool: write each network once').filter(m, m != '')[0]"
        ),
    )
}

/// A pool's cooldown.
pub(crate) fn cooldown() -> Rule {
    rule(
        "self.matches('^(0|[1-9][0-9]{0,4})[sm]$') && int(self.substring(0, self.size() - 1)) <= (self.endsWith('s') ? 86400 : 1440)",
        "'cooldown: ' + self + ' is not a time of 0s to 24h: write seconds as 60s (up to 86400s) or minutes as 5m (up to 1440m)'",
    )
}

/// How often next hops are asked.
pub(crate) fn probe_interval() -> Rule {
    rule(
        "self.matches('^[1-9][0-9]?s$') && int(self.substring(0, self.size() - 1)) <= 60",
        "'neighbours.probeInterval: ' + self + ' is not a time of 1s to 60s: write seconds as 2s'",
    )
}

/// `allowedNamespaces` of a kind without a namespace.
pub(crate) fn no_same() -> Rule {
    fixed(
        "self.from != 'Same'",
        "allowedNamespaces.from: Same means nothing on a pool, which has no namespace: write All or Selector",
    )
}
