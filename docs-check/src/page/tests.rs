#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use super::*;

const TEXT: &str = "# One `two`\n\nSee [there](a.md#b) and `core/src`.\n\n## Same\n\n| a |\n| --- |\n| [x](y.md) |\n\n## Same\n\n```yaml not-run\na: 1\nb: 2\n```\n\n    [no](link)\n";

#[test]
fn a_page_is_taken_apart_with_line_numbers() {
    let page = Page::parse("p.md", TEXT);
    assert_eq!(page.anchors, ["one-two", "same", "same-1"]);
    let links = [(3, "a.md#b".to_owned()), (9, "y.md".to_owned())];
    assert_eq!(page.links, links);
    assert_eq!(page.code[1], (3, "core/src".to_owned()));
    assert_eq!(page.blocks.len(), 1);
    let block = &page.blocks[0];
    assert_eq!((block.line, block.text.as_str()), (13, "a: 1\nb: 2\n"));
    assert_eq!(
        (block.language.as_str(), block.has("not-run")),
        ("yaml", true)
    );
}

#[test]
fn slugs_are_those_of_github_and_of_mdbook() {
    for (heading, wanted) in [
        ("Taking Sluice down", "taking-sluice-down"),
        ("spec.targets[].ips", "spectargetsips"),
        (
            "What is tested, what is assumed",
            "what-is-tested-what-is-assumed",
        ),
        ("0003. One replica", "0003-one-replica"),
    ] {
        assert_eq!(slug(heading), wanted);
    }
}
