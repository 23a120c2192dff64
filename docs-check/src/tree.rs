//! All pages of a repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::page::Page;

/// Pages beside the book.
const BESIDE: [&str; 4] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
];

/// A file or folder could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", .0.display())]
pub struct TreeError(PathBuf, #[source] std::io::Error);

/// All pages of the repository at `root`, those below `docs/` and those beside it, in
/// the order of their paths.
///
/// # Errors
/// When one cannot be read.
pub fn pages(root: &Path) -> Result<Vec<Page>, TreeError> {
    let mut paths: Vec<PathBuf> = BESIDE.iter().map(|name| root.join(name)).collect();
    below(&root.join("docs"), &mut paths)?;
    paths.sort();
    paths.iter().map(|path| page(root, path)).collect()
}

fn page(root: &Path, path: &Path) -> Result<Page, TreeError> {
    let text = fs::read_to_string(path).map_err(|e| TreeError(path.to_owned(), e))?;
    let name = path.strip_prefix(root).unwrap_or(path);
    Ok(Page::parse(&name.to_string_lossy(), &text))
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), TreeError> {
    let failed = |e| TreeError(folder.to_owned(), e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            below(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
    Ok(())
}
