//! Rules for ports and ranges of ports.

use kube::core::Rule;

use super::{rule, text};

/// Whether `x`, a number or a string, is what `Ports::from_field` takes.
fn valid(x: &str) -> String {
    format!(
        "(string({x}) == '*' || string({x}).matches('^[1-9][0-9]{{0,4}}(-[1-9][0-9]{{0,4}})?$') && [string({x}).split('-')].all(p, p.all(n, int(n) <= 65535) && int(p[0]) <= int(p[p.size() - 1])))"
    )
}

/// How many ports `x`, which is valid, has, less one.
fn length(x: &str) -> String {
    format!(
        "[(string({x}) == '*' ? '1-65535' : string({x})).split('-')].map(p, int(p[p.size() - 1]) - int(p[0]))[0]"
    )
}

/// A number or a string that is a port or a range of ports.
pub(crate) fn ports(field: &str) -> Rule {
    rule(
        valid("self"),
        format!(
            "{} + string(self) + {}",
            text(&format!("{field}: ")),
            text(
                " is not a port or a range of ports: write a number of 1 to 65535, \"first-last\" with the lower one first, without sign, spaces or leading zeros, or \"*\" for all"
            )
        ),
    )
}

/// `Auto`, or a number or a string that is a size of segments.
pub(crate) fn mss_clamp() -> Rule {
    rule(
        "string(self) == 'Auto' || (string(self).matches('^[1-9][0-9]{2,4}$') && int(string(self)) >= 536 && int(string(self)) <= 65495)",
        "'mssClamp: ' + string(self) + ' is no size of segments: write Auto, or a number of 536 to 65495'",
    )
}

/// The spec of a DNAT: `targetPorts` is as long as `ports`.
pub(crate) fn same_length() -> Rule {
    let (ports, targets) = ("self.ports", "self.targetPorts");
    rule(
        format!(
            "!has({targets}) || !{} || !{} || {} == {}",
            valid(ports),
            valid(targets),
            length(ports),
            length(targets)
        ),
        format!(
            "'targetPorts: ' + string({targets}) + ' has not as many ports as ports: ' + string({ports}) + (string({ports}) == '*' ? '; leave targetPorts out: all ports stay as they are' : '; write as many, or leave targetPorts out')"
        ),
    )
}

/// The targets of a DNAT: no address stands in two of them.
pub(crate) fn distinct_targets() -> Rule {
    let again = "self.filter(u, u.ips.exists(y, isIP(x) && isIP(y) && ip(x) == ip(y))).size() > 1";
    rule(
        format!("self.all(t, t.ips.all(x, !({again})))"),
        format!(
            "'targets: ' + self.map(t, t.ips.filter(x, {again})).filter(l, l.size() > 0)[0][0] + ' stands in two targets; write it once, with the weight that it shall have'"
        ),
    )
}
