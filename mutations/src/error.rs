//! What can go wrong.

use std::path::{Path, PathBuf};

/// Why the mutants could not be built or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// cargo-mutants' list is not understood.
    #[error("the list of mutants is not understood")]
    List(#[source] serde_json::Error),
    /// A source file is not Rust.
    #[error("{file} is not understood")]
    Source {
        /// The file.
        file: String,
        /// Why.
        source: syn::Error,
    },
    /// A program cannot be started, or ended badly.
    #[error("{program}: {what}")]
    Program {
        /// The program.
        program: String,
        /// What happened.
        what: String,
    },
    /// The copy does not build, and no mutant is to blame.
    #[error("the copy does not build, and no mutant is to blame:\n{0}")]
    Build(String),
    /// Without a mutant a test fails.
    #[error("without a mutant a test fails: {0}")]
    Tests(String),
    /// The list of survivors names what is no mutant, or gives no reason.
    #[error("the list of survivors, line {line}: {what}")]
    Survivors {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl Error {
    /// A file that cannot be read or written.
    #[must_use]
    pub fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }

    /// A program that cannot be started, or ended badly.
    #[must_use]
    pub fn program(program: &str, what: impl ToString) -> Self {
        Self::Program {
            program: program.to_owned(),
            what: what.to_string(),
        }
    }
}
