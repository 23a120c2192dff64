//! The documentation's examples against a real API server: each object is applied,
//! each command of the plugin is parsed by the plugin, each of kubectl and helm by these,
//! and what only reads is run. What cannot be run here is marked as such, and counted.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod control_plane;
#[path = "docs/run.rs"]
mod run;

use std::collections::BTreeSet;

use control_plane::objects::NETWORKS;
use control_plane::{ControlPlane, repo};
use run::{Runner, Said};
use serde_json::Value;
use sluice_docs::block::Block;
use sluice_docs::command::commands;
use sluice_docs::{page::Page, tree};

/// Every block that has something to run, of all pages.
fn blocks() -> Vec<Block> {
    let pages: Vec<Page> = tree::pages(&repo()).unwrap();
    let all = pages.into_iter().flat_map(|page| page.blocks);
    all.filter(|b| ["yaml", "sh"].contains(&b.language.as_str()))
        .collect()
}

/// Objects of a block of YAML.
fn objects(block: &Block) -> Vec<Value> {
    serde_saphyr::from_multiple(&block.text)
        .unwrap_or_else(|error| panic!("{}: {error}", block.place()))
}

/// Namespaces that objects and commands name; they exist before anything is tried.
fn namespaces(blocks: &[Block]) -> BTreeSet<String> {
    let mut found = BTreeSet::from(["net".to_owned(), "sluice-system".to_owned()]);
    for block in blocks {
        if block.language == "yaml" && !block.has("values") {
            let named = objects(block).into_iter().filter_map(|object| {
                let namespace = object.pointer("/metadata/namespace")?;
                Some(namespace.as_str()?.to_owned())
            });
            found.extend(named);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_pages_show_works() {
    let blocks = blocks();
    let plane = ControlPlane::start("docs").await;
    plane.apply(NETWORKS);
    plane.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=30s",
    ]);
    for name in namespaces(&blocks) {
        plane.apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"
        ));
    }
    // What commands look at.
    for file in ["examples/quickstart.yaml", "examples/pods.yaml"] {
        plane.kubectl(&["apply", "-f", repo().join(file).to_str().unwrap()]);
    }
    plane.apply("apiVersion: v1\nkind: Node\nmetadata: {name: node-a}\n");

    let runner = Runner { plane: &plane };
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), Vec::new());
    for block in &blocks {
        let said: Vec<(String, Said)> = if block.has("not-run") {
            vec![(block.place(), Said::NotRun("marked not-run".into()))]
        } else if block.language == "yaml" {
            vec![(block.place(), runner.yaml(block))]
        } else if block.has("run") {
            vec![(block.place(), runner.shell(block))]
        } else {
            let all = commands(block);
            all.iter()
                .map(|c| {
                    (
                        format!("{}: {}", c.place, c.words.join(" ")),
                        runner.command(c),
                    )
                })
                .collect()
        };
        for (place, said) in said {
            match said {
                Said::Works => passed += 1,
                Said::NotRun(why) => skipped.push(format!("{place}: {why}")),
                Said::Fails(why) => failed.push(format!("{place}: {why}")),
            }
        }
    }
    for line in &skipped {
        println!("not run: {line}");
    }
    println!(
        "{passed} passed, {} failed, {} skipped",
        failed.len(),
        skipped.len()
    );
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    assert!(passed > 80, "only {passed} examples were found");
}
