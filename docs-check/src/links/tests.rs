use std::path::PathBuf;

use super::*;

/// This repository, with pages that are not in it.
fn report(path: &str, text: &str) -> Report {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let other = Page::parse("docs/install.md", "# Installing\n");
    check(&root, &[Page::parse(path, text), other])
}

#[test]
fn what_leads_somewhere_is_good() {
    let text = "[a](docs/install.md#installing) [b](https://example.org) [c](#here)\n\n# Here\n\n`core/src/*.rs` `docs/install.md` `net/egress` `deploy/{crds,operator}`\n";
    let report = report("README.md", text);
    assert_eq!(report.bad, Vec::<String>::new());
    assert_eq!((report.good, report.elsewhere), (5, 1));
}

#[test]
fn what_leads_nowhere_is_told_with_its_line() {
    for (path, text, word) in [
        (
            "README.md",
            "\n[a](docs/none.md)",
            "README.md:2: docs/none.md: there is no",
        ),
        ("README.md", "[a](docs/install.md#no)", "has no heading #no"),
        ("README.md", "[a](../x.md)", "leaves the repository"),
        ("README.md", "`core/src/none.rs`", "does not exist"),
        ("docs/x.md", "[a](../README.md)", "leaves the book"),
        ("docs/x.md", "[a](runbooks)", "is no page"),
    ] {
        let bad = report(path, text).bad;
        assert!(
            bad.len() == 1 && bad.concat().contains(word),
            "{text}: {bad:?}"
        );
    }
}

#[test]
fn a_page_that_the_summary_lacks_is_told() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = [
        Page::parse("docs/SUMMARY.md", "- [I](install.md)\n"),
        Page::parse("docs/install.md", "# I\n"),
        Page::parse("docs/lost.md", "# L\n"),
    ];
    let bad = check(&root, &pages).bad;
    assert_eq!(bad, ["docs/lost.md:1: is no chapter of docs/SUMMARY.md"]);
}
