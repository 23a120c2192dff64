//! The mutants that no test can notice, or need notice, each with the reason.
//!
//! A line is `NAME = REASON`, with the mutant's name as [`crate::list`] gives it. Empty
//! lines and those that begin with `#` say nothing.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::list::Mutant;

#[cfg(test)]
mod tests;

/// Reads the list: reasons by names.
///
/// # Errors
///
/// A line has no reason, or names what is no mutant, or the same as another.
pub fn parse(text: &str, mutants: &[Mutant]) -> Result<BTreeMap<String, String>, Error> {
    let mut reasons = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let bad = |what: &str| Error::Survivors {
            line: at + 1,
            what: what.to_owned(),
        };
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        // A name may hold ` = `, as in the pattern of an arm; the longest name counts.
        let known = mutants
            .iter()
            .filter_map(|m| Some((m, line.strip_prefix(&m.name)?.strip_prefix(" = ")?)))
            .max_by_key(|(m, _)| m.name.len());
        let Some((mutant, reason)) = known else {
            return Err(bad("there is no such mutant, or no reason"));
        };
        if reason.trim().is_empty() {
            return Err(bad("there is no reason"));
        }
        let before = reasons.insert(mutant.name.clone(), reason.trim().to_owned());
        if before.is_some() {
            return Err(bad("it is named twice"));
        }
    }
    Ok(reasons)
}
