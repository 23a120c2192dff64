#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[test]
fn links_of_a_book_are_followed_to_files_and_headings() {
    let folder = std::env::temp_dir().join(format!("sluice-docs-{}", std::process::id()));
    fs::create_dir_all(folder.join("api")).unwrap();
    let index = r##"<h1 id="top"><a href="#top">T</a></h1><a href="api/eip.html#spec">E</a><a href="gone.html">G</a>"##;
    fs::write(folder.join("index.html"), index).unwrap();
    let eip = r##"<h2 id="spec">S</h2><a href="../index.html#no">x</a><a href="https://example.org/">y</a>"##;
    fs::write(folder.join("api/eip.html"), eip).unwrap();
    let report = check(&folder).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!((report.good, report.elsewhere), (2, 1));
    assert_eq!(
        report.bad,
        [
            "api/eip.html: ../index.html#no: there is no such heading",
            "index.html: gone.html: there is no such file",
        ]
    );
}
