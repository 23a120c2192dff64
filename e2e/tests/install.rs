//! The quick start for a cluster, as it stands in the documentation, on a lab that has
//! never seen Sluice: the chart is installed, the first EIP carries packets both ways, and
//! the chart is removed without a trace.
//!
//! What is run is taken from the blocks of `docs/quickstart.md` that are marked `first`
//! and `last`; the lab has the networks of the block before them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::path::PathBuf;
use std::process::Command;

use sluice_docs::block::Block;
use sluice_docs::command::commands;
use sluice_docs::page::Page;
use sluice_e2e::command::run_with_input;
use sluice_e2e::echo::Seen;
use sluice_e2e::{Host, Lab, UpOptions};

fn repo() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Blocks of the quick start with a mark, in their order.
fn blocks(mark: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(repo().join("docs/quickstart.md")).unwrap();
    let page = Page::parse("docs/quickstart.md", &text);
    page.blocks.into_iter().filter(|b| b.has(mark)).collect()
}

/// A program, aimed at the lab.
fn program(lab: &Lab, name: &str) -> Command {
    let tools = repo().join("target/tools");
    let mut command = match name {
        "kubectl" => lab.kubectl(),
        "helm" => Command::new(tools.join("helm")),
        other => panic!("{other} is no program of the quick start"),
    };
    command
        .current_dir(repo())
        .env("KUBECONFIG", lab.paths().kubeconfig())
        .env("HELM_CACHE_HOME", tools.join("cache"))
        .env("HELM_CONFIG_HOME", tools.join("config"))
        .env("HELM_DATA_HOME", tools.join("data"));
    command
}

/// Runs a program to its good end; what it prints.
fn run(lab: &Lab, words: &[&str]) -> String {
    let output = program(lab, words[0]).args(&words[1..]).output();
    let output =
        output.unwrap_or_else(|error| panic!("{words:?}: {error}: run scripts/go-tools.sh"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Does what a block says.
fn follow(lab: &Lab, block: &Block) {
    println!("{}", block.place());
    if block.language == "yaml" {
        let mut apply = lab.kubectl();
        run_with_input(apply.args(["apply", "-f", "-"]), &block.text).unwrap();
        return;
    }
    for command in commands(block) {
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        println!("$ {}", words.join(" "));
        print!("{}", run(lab, &words));
    }
}

/// Who answers `url` when asked from a host, and whom it saw.
fn get(lab: &Lab, from: &str, url: &str) -> Seen {
    let echo = env!("CARGO_BIN_EXE_sluice-echo");
    let host: Host = from.parse().unwrap();
    let argv = [echo, "--get", url, "--timeout-ms", "3000"];
    let output = lab.exec(&host, &argv).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{from}: {url}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_documented_quick_start_gives_a_working_eip_and_goes_without_a_trace() {
    let options = UpOptions {
        name: format!("i{}", std::process::id()),
        operator: false,
        definitions: false,
        ..UpOptions::default()
    };
    let lab = Lab::up(&options, &|text| println!("{text}")).unwrap();
    let kinds = || run(&lab, &["kubectl", "get", "crd", "-o", "name"]);
    assert!(!kinds().contains("sluice.dev"), "the lab knows Sluice");

    let first = blocks("first");
    assert!(first.len() >= 4, "{} blocks", first.len());
    for block in &first {
        follow(&lab, block);
    }
    let status = |field: &str| {
        let path = format!("jsonpath={{.status.{field}}}");
        run(
            &lab,
            &["kubectl", "get", "eip", "web", "-n", "net", "-o", &path],
        )
    };
    for (address, url, client) in [
        (
            status("ipv4"),
            format!("http://{}", status("ipv4")),
            "10.155.30.9",
        ),
        (
            status("ipv6"),
            format!("http://[{}]", status("ipv6")),
            "2001:db8:1::9",
        ),
    ] {
        let inward = get(&lab, "client", &url);
        assert_eq!(
            (inward.pod.as_str(), inward.source.as_str()),
            ("web", client)
        );
        let client = match client.contains(':') {
            true => format!("http://[{client}]"),
            false => format!("http://{client}"),
        };
        assert_eq!(get(&lab, "pod/tenants/web", &client).source, address);
    }

    for block in &blocks("last") {
        follow(&lab, block);
    }
    assert!(!kinds().contains("sluice.dev"), "{}", kinds());
    let everywhere = "deployment,pod,serviceaccount,lease,role,rolebinding,job";
    let cluster =
        "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding";
    let left = run(&lab, &["kubectl", "get", everywhere, "-A", "-o", "name"])
        + &run(&lab, &["kubectl", "get", cluster, "-o", "name"]);
    let left: Vec<&str> = left
        .lines()
        .filter(|name| name.contains("sluice"))
        .collect();
    assert_eq!(left, Vec::<&str>::new());
}
