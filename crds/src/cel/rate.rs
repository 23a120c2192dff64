//! Rules for rates.

use kube::core::Rule;

use super::{rule, text};

/// A number and a unit, as `Rate::parse` takes them.
const FORM: &str = "^(0|[1-9][0-9]{0,14})([.][0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$";

/// A string that is a rate in bits per second.
pub(crate) fn rate(field: &str) -> Rule {
    rule(
        format!(
            "self.matches('{FORM}') && !quantity(self).isLessThan(quantity('10k')) && !quantity(self).isGreaterThan(quantity('1T'))"
        ),
        format!(
            "{} + self + {}",
            text(&format!("{field}: ")),
            text(
                " is not a rate: write 10k to 1T bits per second, a number without sign or leading zeros and k, M, G, T, Ki, Mi, Gi or Ti after it, like 10M"
            )
        ),
    )
}
