//! The mutants, as `cargo mutants --list --json` names them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::Error;

#[cfg(test)]
mod tests;

/// A place in a source file, as cargo-mutants counts: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// What kind of change a mutant is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Genre {
    /// A function returns something else at once.
    FnValue,
    /// Another operator between two operands.
    BinaryOperator,
    /// A `!` or `-` is left out.
    UnaryOperator,
    /// An arm of a `match` is left out.
    MatchArm,
    /// The guard of an arm is always true, or always false.
    MatchArmGuard,
    /// A field of a struct expression is left to the base.
    StructField,
}

/// One mutant.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Its number, from 1, by its place in the list.
    pub id: u32,
    /// Its name without line and column: `FILE: CHANGE in FUNCTION`. Where a function has
    /// several of one name, all but the first end in ` #2`, ` #3` and so on.
    pub name: String,
    /// The file, from the root of the repository.
    pub file: String,
    /// Its kind.
    pub genre: Genre,
    /// What stands there instead.
    pub replacement: String,
    /// Where what it replaces begins.
    pub start: Place,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    file: String,
    genre: Genre,
    replacement: String,
    span: Span,
}

#[derive(Deserialize)]
struct Span {
    start: Place,
}

/// Reads the list.
///
/// # Errors
///
/// It cannot be read, or is not such a list.
pub fn read(path: &Path) -> Result<Vec<Mutant>, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
    parse(&text)
}

/// Takes the text of a list apart.
///
/// # Errors
///
/// It is not such a list.
pub fn parse(text: &str) -> Result<Vec<Mutant>, Error> {
    let listed: Vec<Listed> = serde_json::from_str(text).map_err(Error::List)?;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut mutants = Vec::with_capacity(listed.len());
    for (id, one) in (1..).zip(listed) {
        let change = one.name.split_once(": ").map_or("", |(_, change)| change);
        let mut name = format!("{}: {change}", one.file);
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            name = format!("{name} #{count}");
        }
        mutants.push(Mutant {
            id,
            name,
            file: one.file,
            genre: one.genre,
            replacement: one.replacement,
            start: one.span.start,
        });
    }
    Ok(mutants)
}
