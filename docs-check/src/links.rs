//! Links of the sources, as they are read on a forge or in an editor: each leads to a
//! file that exists, and to a heading of it. Chapters of the book stay within `docs/`,
//! all of them stand in its summary, and paths in code style exist.

use std::collections::BTreeMap;
use std::path::Path;

use crate::page::Page;

#[cfg(test)]
mod tests;

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many links and paths lead where they should.
    pub good: usize,
    /// How many lead to other sites, which are not asked.
    pub elsewhere: usize,
    /// What leads nowhere, with the reason.
    pub bad: Vec<String>,
}

/// Looks at all pages of the repository at `root`.
#[must_use]
pub fn check(root: &Path, pages: &[Page]) -> Report {
    let by_path: BTreeMap<&str, &Page> = pages.iter().map(|p| (p.path.as_str(), p)).collect();
    let mut report = Report::default();
    for page in pages {
        for (line, target) in &page.links {
            if target.contains("://") || target.starts_with("mailto:") {
                report.elsewhere += 1;
                continue;
            }
            report.count(page, *line, link(root, &by_path, page, target));
        }
        for (line, words) in &page.code {
            if let Some(path) = repository_path(root, words) {
                let found = exists(root, path);
                let missing = || format!("`{words}` does not exist");
                report.count(page, *line, if found { Ok(()) } else { Err(missing()) });
            }
        }
    }
    if let Some(summary) = by_path.get("docs/SUMMARY.md") {
        let listed: Vec<String> = summary
            .links
            .iter()
            .map(|(_, target)| format!("docs/{target}"))
            .collect();
        for page in pages.iter().filter(|p| p.path.starts_with("docs/")) {
            if page.path != summary.path && !listed.contains(&page.path) {
                let lost = "is no chapter of docs/SUMMARY.md".to_owned();
                report.count(page, 1, Err(lost));
            }
        }
    }
    report
}

impl Report {
    fn count(&mut self, page: &Page, line: usize, found: Result<(), String>) {
        match found {
            Ok(()) => self.good += 1,
            Err(why) => self.bad.push(format!("{}:{line}: {why}", page.path)),
        }
    }
}

fn link(
    root: &Path,
    pages: &BTreeMap<&str, &Page>,
    page: &Page,
    target: &str,
) -> Result<(), String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => page.path.clone(),
        file => join(&page.path, file).ok_or_else(|| format!("{target} leaves the repository"))?,
    };
    if page.path.starts_with("docs/") && !path.starts_with("docs/") {
        return Err(format!(
            "{target} leaves the book: write the path in code style"
        ));
    }
    if !root.join(&path).exists() {
        return Err(format!("{target}: there is no {path}"));
    }
    if page.path.starts_with("docs/") && !path.ends_with(".md") {
        return Err(format!("{target} is no page: in the book it leads nowhere"));
    }
    if anchor.is_empty() {
        return Ok(());
    }
    let known = pages
        .get(path.as_str())
        .is_some_and(|p| p.anchors.iter().any(|a| a == anchor));
    if known {
        Ok(())
    } else {
        Err(format!("{target}: {path} has no heading #{anchor}"))
    }
}

/// A path beside a page's, without `..`.
fn join(page: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Words that name a file or folder of the repository: a path that begins with one of
/// its folders.
fn repository_path<'a>(root: &Path, words: &'a str) -> Option<&'a str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-*{},".contains(c);
    let (first, rest) = words.split_once('/')?;
    let is_path = !rest.is_empty() && words.chars().all(plain) && !first.is_empty();
    let ours = is_path && first != "target" && root.join(first).is_dir();
    ours.then_some(words)
}

/// Whether a path exists; `*` stands for any part of a name, `{a,b}` for either.
fn exists(root: &Path, path: &str) -> bool {
    if let Some((before, rest)) = path.split_once('{')
        && let Some((choices, after)) = rest.split_once('}')
    {
        return choices
            .split(',')
            .all(|c| exists(root, &format!("{before}{c}{after}")));
    }
    let path = path.trim_end_matches('/');
    let Some((before, after)) = path.split_once('*') else {
        return root.join(path).exists();
    };
    let (folder, start) = before.rsplit_once('/').unwrap_or(("", before));
    let entries = std::fs::read_dir(root.join(folder));
    entries.into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(start) && name.ends_with(after)
    })
}
