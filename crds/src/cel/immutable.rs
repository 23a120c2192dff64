//! Rules that compare an object with what it was.

use kube::core::Rule;

use super::{fixed, rule, text};

/// A field that never changes.
pub(crate) fn immutable(field: &str, remedy: &str) -> Rule {
    fixed(
        "self == oldSelf",
        &format!("{field}: cannot be changed: {remedy}"),
    )
}

/// The spec of an AddressClaim: it is the claim of one address.
pub(crate) fn claim_kept() -> Rule {
    fixed(
        "self.network == oldSelf.network && self.address == oldSelf.address",
        "network and address: cannot be changed: create another AddressClaim",
    )
}

/// The spec of an EIP: a pool that was named stays.
pub(crate) fn pool_once_set() -> Rule {
    rule(
        "!has(oldSelf.pool) || (has(self.pool) && self.pool == oldSelf.pool)",
        "'pool: cannot be changed from ' + oldSelf.pool + ': create another EIP for another pool'",
    )
}

/// The policy in force: what an absent `ipFamilyPolicy` means, as a number that
/// grows with the number of addresses asked for.
fn policy(spec: &str) -> String {
    format!(
        "(has({spec}.ipFamilyPolicy) ? ({spec}.ipFamilyPolicy == 'SingleStack' ? 0 : {spec}.ipFamilyPolicy == 'PreferDualStack' ? 1 : 2) \
         : (has({spec}.ipFamilies) && {spec}.ipFamilies.size() == 2 ? 2 : 0))"
    )
}

/// The spec of an EIP: addresses are given up, never added.
pub(crate) fn family_policy_downgrade() -> Rule {
    fixed(
        format!("{} <= {}", policy("self"), policy("oldSelf")),
        "ipFamilyPolicy: can only be lowered, from RequireDualStack to PreferDualStack to SingleStack (unset means SingleStack, with two ipFamilies RequireDualStack): create another EIP for more addresses",
    )
}

/// The spec of an EIP: the first family stays the first.
pub(crate) fn primary_family_kept() -> Rule {
    rule(
        "!has(oldSelf.ipFamilies) || oldSelf.ipFamilies.size() == 0 || (has(self.ipFamilies) && self.ipFamilies.size() > 0 && self.ipFamilies[0] == oldSelf.ipFamilies[0])",
        "'ipFamilies: the primary family ' + oldSelf.ipFamilies[0] + ' cannot be changed: keep it first, or create another EIP'",
    )
}

/// The spec of an EIP: one stack has one family.
pub(crate) fn single_stack_families() -> Rule {
    fixed(
        "!has(self.ipFamilyPolicy) || self.ipFamilyPolicy != 'SingleStack' || !has(self.ipFamilies) || self.ipFamilies.size() < 2",
        "ipFamilies: two families with ipFamilyPolicy SingleStack: name one family, or write ipFamilyPolicy PreferDualStack or RequireDualStack",
    )
}

/// The spec of an EIP: one stack has one address.
pub(crate) fn single_stack_addresses() -> Rule {
    fixed(
        format!(
            "!has(self.addresses) || self.addresses.size() < 2 || {} > 0",
            policy("self")
        ),
        "addresses: two addresses with ipFamilyPolicy SingleStack, which is the default: name one address, or write ipFamilyPolicy PreferDualStack or RequireDualStack",
    )
}

/// The spec of an EIP: with one stack, the address asked for is of the family
/// asked for.
pub(crate) fn addresses_of_families() -> Rule {
    let family = "((x.contains(':') ? 'IPv6' : 'IPv4') in self.ipFamilies)";
    rule(
        format!(
            "!has(self.addresses) || !has(self.ipFamilies) || self.ipFamilies.size() == 0 || {} > 0 || self.addresses.all(x, {family})",
            policy("self")
        ),
        format!(
            "self.addresses.filter(x, !{family}).map(x, 'addresses: ' + x + {})[0]",
            text(" is not of the family in ipFamilies: change the address or the family")
        ),
    )
}

/// An EIP: what was assigned cannot be asked for otherwise.
pub(crate) fn addresses_once_assigned() -> Rule {
    fixed(
        "!has(oldSelf.status) || !(has(oldSelf.status.ipv4) || has(oldSelf.status.ipv6)) \
         || (has(self.spec.addresses) ? (has(oldSelf.spec.addresses) && self.spec.addresses == oldSelf.spec.addresses) : !has(oldSelf.spec.addresses))",
        "spec.addresses: cannot be changed once addresses are assigned: create another EIP",
    )
}

/// An EIP: a pool that is named late is the one that was chosen.
pub(crate) fn pool_once_chosen() -> Rule {
    rule(
        "has(oldSelf.spec.pool) || !has(self.spec.pool) || !has(oldSelf.status) || !has(oldSelf.status.pool) || self.spec.pool == oldSelf.status.pool",
        "'spec.pool: ' + self.spec.pool + ' is not the pool that the addresses come from: write ' + oldSelf.status.pool + ', or create another EIP'",
    )
}

/// An EIP: a primary family that is named late is the one that was chosen.
pub(crate) fn primary_family_once_chosen() -> Rule {
    rule(
        "(has(oldSelf.spec.ipFamilies) && oldSelf.spec.ipFamilies.size() > 0) || !has(self.spec.ipFamilies) || self.spec.ipFamilies.size() == 0 \
         || !has(oldSelf.status) || !has(oldSelf.status.ipFamilies) || oldSelf.status.ipFamilies.size() == 0 \
         || self.spec.ipFamilies[0] == oldSelf.status.ipFamilies[0]",
        "'spec.ipFamilies: ' + self.spec.ipFamilies[0] + ' is not the primary family of this EIP: write ' + oldSelf.status.ipFamilies[0] + ' first, or create another EIP'",
    )
}
