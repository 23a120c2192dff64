//! `sluice-mutations LIST TREE WORK`: builds the mutants of cargo-mutants' LIST into the
//! copy TREE and runs them; what it finds goes to the folder WORK. `scripts/mutants-all.sh`
//! makes list and copy, and names the options.

use std::path::Path;
use std::process::ExitCode;

use sluice_mutations::session::{self, Options};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [list, tree, work] = arguments.as_slice() else {
        eprintln!("usage: sluice-mutations LIST TREE WORK");
        return ExitCode::FAILURE;
    };
    match session::go(
        Path::new(list),
        Path::new(tree),
        Path::new(work),
        &Options::from_env(),
    ) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(because) = cause {
                eprintln!("mutants: because: {because}");
                cause = because.source();
            }
            ExitCode::FAILURE
        }
    }
}
