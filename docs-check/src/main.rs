//! `sluice-docs [BOOK]`: looks at all links of this repository's pages, and at those of
//! the built book where its folder is named.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sluice_docs::links::Report;
use sluice_docs::{book, links, tree};

fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    match run(folder.as_deref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("docs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: Option<&Path>) -> Result<bool, Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut good = tell("sources", &links::check(&root, &tree::pages(&root)?));
    if let Some(folder) = folder {
        good &= tell("book", &book::check(folder)?);
    }
    Ok(good)
}

fn tell(what: &str, report: &Report) -> bool {
    for bad in &report.bad {
        eprintln!("docs: {bad}");
    }
    let (good, bad) = (report.good, report.bad.len());
    println!(
        "docs: links of the {what}: {} to other sites, which are not asked",
        report.elsewhere
    );
    println!("{good} passed, {bad} failed, 0 skipped");
    report.bad.is_empty()
}
