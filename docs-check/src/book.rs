//! Links of the built book: each `href` and `src` leads to a file of it, and each
//! fragment to an `id` there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::links::Report;

#[cfg(test)]
mod tests;

/// A folder or page could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", .0.display())]
pub struct BookError(PathBuf, #[source] std::io::Error);

/// What a page of the book names, and what it points at.
#[derive(Debug, Default)]
struct Html {
    ids: BTreeSet<String>,
    targets: Vec<String>,
}

/// Looks at all pages of the book in `folder`.
///
/// # Errors
/// When one cannot be read.
pub fn check(folder: &Path) -> Result<Report, BookError> {
    let mut pages = BTreeMap::new();
    read(folder, folder, &mut pages)?;
    let mut report = Report::default();
    for (path, page) in &pages {
        // What mdBook makes for printers and for lost visitors repeats the rest.
        if ["print.html", "404.html", "toc.html"].contains(&path.as_str()) {
            continue;
        }
        for target in &page.targets {
            if target.contains("://")
                || target.starts_with("mailto:")
                || target.starts_with("data:")
            {
                report.elsewhere += 1;
            } else {
                match follow(folder, &pages, path, target) {
                    Ok(()) => report.good += 1,
                    Err(why) => report.bad.push(format!("{path}: {target}: {why}")),
                }
            }
        }
    }
    Ok(report)
}

fn read(root: &Path, folder: &Path, pages: &mut BTreeMap<String, Html>) -> Result<(), BookError> {
    let failed = |e| BookError(folder.to_owned(), e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            read(root, &path, pages)?;
        } else if path.extension().is_some_and(|end| end == "html") {
            let text = fs::read_to_string(&path).map_err(|e| BookError(path.clone(), e))?;
            let name = path.strip_prefix(root).unwrap_or(&path);
            pages.insert(name.to_string_lossy().into_owned(), parse(&text));
        }
    }
    Ok(())
}

fn parse(text: &str) -> Html {
    let mut html = Html::default();
    let values = |name: &str| {
        let start = format!(" {name}=\"");
        let found: Vec<String> = text
            .split(&start)
            .skip(1)
            .filter_map(|rest| {
                rest.split_once('"')
                    .map(|(value, _)| value.replace("&amp;", "&"))
            })
            .collect();
        found
    };
    html.ids.extend(values("id"));
    html.targets.extend(values("href"));
    html.targets.extend(values("src"));
    html
}

fn follow(
    folder: &Path,
    pages: &BTreeMap<String, Html>,
    page: &str,
    target: &str,
) -> Result<(), &'static str> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let mut parts: Vec<&str> = page.split('/').collect();
    if !file.is_empty() {
        parts.pop();
        for part in file.split('/') {
            match part {
                "." | "" => {}
                ".." => {
                    parts.pop().ok_or("leaves the book")?;
                }
                part => parts.push(part),
            }
        }
    }
    let path = parts.join("/");
    if !folder.join(&path).is_file() {
        return Err("there is no such file");
    }
    let known = pages
        .get(&path)
        .is_none_or(|page| page.ids.contains(anchor));
    if anchor.is_empty() || known {
        Ok(())
    } else {
        Err("there is no such heading")
    }
}
