//! Rules for pods as targets and sources.

use kube::core::Rule;

use super::{fixed, rule};

/// A FIP's target: a pod or addresses.
pub(crate) fn pod_or_ips() -> Rule {
    rule(
        "has(self.pod) != has(self.ips)",
        "has(self.pod) ? 'target: pod and ips stand there both: remove one of them' \
         : 'target: neither pod nor ips stands there: write pod: {name: NAME} or ips: [ADDRESS]'",
    )
}

/// The spec of a SNAT: it has sources of some kind.
pub(crate) fn some_source() -> Rule {
    fixed(
        "has(self.sources) || has(self.podSelector)",
        "sources: neither sources nor podSelector stands there: write sources: [PREFIX], or podSelector: {} for every pod of the namespace",
    )
}

/// The spec of a SNAT: namespaces are chosen for pods only.
pub(crate) fn namespaces_of_pods() -> Rule {
    fixed(
        "!has(self.namespaceSelector) || has(self.podSelector)",
        "namespaceSelector: not allowed without podSelector: add podSelector, {} for every pod of those namespaces",
    )
}

/// One requirement of a selector: the operator says whether it has values.
pub(crate) fn values_iff_compared() -> Rule {
    rule(
        "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
        "self.operator in ['In', 'NotIn'] ? 'matchExpressions: ' + self.key + ': operator ' + self.operator + ' needs values: add at least one' \
         : 'matchExpressions: ' + self.key + ': operator ' + self.operator + ' takes no values: remove them'",
    )
}
