//! The copy of the tree in which all mutants stand behind switches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::blame;
use crate::error::Error;
use crate::list::Mutant;
use crate::switch::switch;

const FAULT: &str = include_str!("copy/fault.rs");
const ALLOW: &str = "#![allow(warnings, missing_docs, arithmetic_overflow, unconditional_panic)]\n";

/// The mutants of a copy that compiles.
#[derive(Debug, Default)]
pub struct Sorted {
    /// Those that can be made.
    pub viable: BTreeSet<u32>,
    /// Those that are no valid program.
    pub unviable: BTreeSet<u32>,
    /// Those that found no place in the sources.
    pub lost: BTreeSet<u32>,
}

/// Puts switches into a copy of the tree, and leaves out what does not compile. `known`
/// does not, as an earlier run found.
///
/// # Errors
///
/// The copy cannot be written, or does not compile for another reason than a mutant.
pub fn switched(tree: &Path, mutants: &[Mutant], known: &BTreeSet<u32>) -> Result<Sorted, Error> {
    let mut sources: BTreeMap<&str, (String, Vec<&Mutant>)> = BTreeMap::new();
    for mutant in mutants {
        if !sources.contains_key(mutant.file.as_str()) {
            let text = read(&tree.join(&mutant.file))?;
            sources.insert(&mutant.file, (text, Vec::new()));
        }
        if let Some((_, of_file)) = sources.get_mut(mutant.file.as_str()) {
            of_file.push(mutant);
        }
    }
    let lib = tree.join("core/src/lib.rs");
    let text = read(&lib)?;
    let docs = text.lines().take_while(|l| l.starts_with("//!")).count();
    let rest: Vec<&str> = text.lines().skip(docs).collect();
    write(
        &lib,
        &format!("{ALLOW}pub mod fault;\n{}\n", rest.join("\n")),
    )?;
    let count = mutants.len() + 1;
    let fault = format!("{FAULT}\nconst COUNT: usize = {count};\n");
    write(&tree.join("core/src/fault.rs"), &fault)?;

    let mut sorted = Sorted {
        unviable: known.clone(),
        ..Sorted::default()
    };
    let mut dirty: BTreeSet<&str> = sources.keys().copied().collect();
    loop {
        for (file, (text, of_file)) in &sources {
            if !dirty.contains(file) {
                continue;
            }
            let wanted: Vec<&Mutant> = of_file
                .iter()
                .filter(|m| !sorted.unviable.contains(&m.id))
                .copied()
                .collect();
            let switched = switch(file, text, &wanted)?;
            write(&tree.join(file), &switched.text)?;
            for mutant in wanted {
                if switched.never.contains(&mutant.id) {
                    sorted.unviable.insert(mutant.id);
                } else if switched.placed.contains(&mutant.id) {
                    sorted.viable.insert(mutant.id);
                } else {
                    sorted.lost.insert(mutant.id);
                }
            }
        }
        let output = cargo(tree, &["check", "--profile", "test"])?;
        if output.good {
            break;
        }
        let bad = blame::find(tree, &output.messages)?;
        if bad.is_empty() {
            return Err(Error::Build(blame::rendered(&output.messages)));
        }
        println!("mutants: {} do not compile", bad.len());
        dirty = mutants
            .iter()
            .filter(|m| bad.contains(&m.id))
            .map(|m| m.file.as_str())
            .collect();
        sorted.viable.retain(|id| !bad.contains(id));
        sorted.unviable.extend(bad);
    }
    Ok(sorted)
}

/// Builds the tests of a copy.
///
/// # Errors
///
/// They cannot be sorted.
pub fn tests(tree: &Path) -> Result<PathBuf, Error> {
    let output = cargo(tree, &["test", "--no-run"])?;
    blame::executable(&output.messages)
        .ok_or_else(|| Error::Build(blame::rendered(&output.messages)))
}

struct Output {
    good: bool,
    messages: String,
}

fn cargo(tree: &Path, what: &[&str]) -> Result<Output, Error> {
    // Optimised a little, unless told otherwise: the simulation runs long.
    let level = std::env::var("OPT_LEVEL").unwrap_or_else(|_| "1".to_owned());
    let level = format!("profile.dev.package.sluice-core.opt-level={level}");
    let output = Command::new("cargo")
        .args(what)
        .args(["--config", &level])
        .args(["--quiet", "-p", "sluice-core", "--lib"])
        .args(["--message-format", "json"])
        .current_dir(tree)
        .stderr(Stdio::null())
        .output()
        .map_err(|e| Error::program("cargo", e))?;
    Ok(Output {
        good: output.status.success(),
        messages: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|e| Error::file(path, e))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|e| Error::file(path, e))
}
