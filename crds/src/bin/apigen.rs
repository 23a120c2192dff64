//! Writes the reference of the API, `docs/api/*.md`, from the types.
//!
//! `apigen [DIRECTORY]` touches only files whose content differs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sluice_crds::reference;

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1).map_or_else(
        || {
            let here = std::env::var_os("CARGO_MANIFEST_DIR");
            here.map_or_else(PathBuf::new, |here| PathBuf::from(here).join(".."))
                .join("docs/api")
        },
        PathBuf::from,
    );
    match run(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("apigen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(directory)?;
    for page in reference::pages()? {
        let path = directory.join(&page.file);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(page.text.as_str()) {
            std::fs::write(&path, page.text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}
