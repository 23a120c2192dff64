//! Writes the CustomResourceDefinitions as YAML, one file each.
//!
//! `crdgen [DIRECTORY]` writes `<plural>.<group>.yaml` there, into `deploy/crds`
//! unless told, and touches only files whose content differs. `crdgen -` prints
//! them all.

use std::path::PathBuf;
use std::process::ExitCode;

use sluice_crds::manifest;

fn main() -> ExitCode {
    let target = std::env::args_os().nth(1);
    let directory = match target {
        Some(dash) if dash == "-" => None,
        Some(directory) => Some(PathBuf::from(directory)),
        None => Some(deployed()),
    };
    match run(directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `deploy/crds`, from wherever `cargo run` was called, else from here.
fn deployed() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(PathBuf::new, |crate_| PathBuf::from(crate_).join(".."))
        .join("deploy/crds")
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
