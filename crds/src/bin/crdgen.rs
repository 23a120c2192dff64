//! Writes the CustomResourceDefinitions as YAML, one file each.
//!
//! `crdgen` prints them all; `crdgen DIRECTORY` writes `<plural>.<group>.yaml`
//! there and touches only files whose content differs.

use std::path::PathBuf;
use std::process::ExitCode;

use sluice_crds::manifest;

fn main() -> ExitCode {
    match run(std::env::args_os().nth(1).map(PathBuf::from)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: Option<PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
    for manifest in manifest::all()? {
        let yaml = manifest.to_yaml()?;
        let Some(directory) = &directory else {
            println!("---\n{yaml}");
            continue;
        };
        let path = directory.join(format!("{}.yaml", manifest.name));
        if std::fs::read_to_string(&path).ok().as_deref() != Some(yaml.as_str()) {
            std::fs::write(&path, yaml)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}
