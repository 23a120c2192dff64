//! What `nft` writes we read; what we write `nft` reads.
//!
//! `nft` loads a file, this crate reads the tables, deletes them and writes them again from
//! what it read; `nft` must then list the same text as before.

use std::io::Write;
use std::process::{Command, Stdio};

use nfnetlink::Socket;
use nfnetlink::nftables::expr::Expr;
use nfnetlink::nftables::{Batch, TableContent};

use super::namespace::{in_namespace, run};

/// Feeds text to `nft` in the namespace of the calling thread.
pub(crate) fn nft(text: &str) {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("nft starts");
    let mut stdin = child.stdin.take().expect("nft has an input");
    stdin.write_all(text.as_bytes()).expect("nft reads");
    drop(stdin);
    assert!(
        child.wait().expect("nft ends").success(),
        "nft refused the text"
    );
}

fn all_tables(socket: &mut Socket) -> Vec<TableContent> {
    let tables = socket.tables(None).unwrap();
    tables
        .into_iter()
        .map(|info| {
            let id = info.table.id;
            let dump = socket.dump_table(id.family, &id.name).unwrap();
            let dump = dump.expect("the table is there");
            assert!(dump.others.is_empty(), "{:?}", dump.others);
            dump.content
        })
        .collect()
}

fn unknown(content: &TableContent) -> Vec<&Expr> {
    let rules = content.chains.values().flat_map(|chain| &chain.rules);
    rules
        .flat_map(|rule| &rule.exprs)
        .filter(|expr| matches!(expr, Expr::Unknown { .. }))
        .collect()
}

fn survives(text: &'static str) {
    in_namespace(move || {
        let pair = ["link", "add", "eo", "type", "veth", "peer", "name", "ei"];
        run("ip", &pair);
        nft(text);
        let listed = run("nft", &["list", "ruleset"]);
        let mut socket = Socket::open().unwrap();
        let tables = all_tables(&mut socket);
        assert!(!tables.is_empty());
        let mut batch = Batch::new();
        for table in &tables {
            assert_eq!(unknown(table), Vec::<&Expr>::new());
            batch.delete_table(&table.table.id);
        }
        for table in &tables {
            batch.add_content(table);
        }
        let generation = socket.generation().unwrap();
        if let Err(error) = socket.commit(&batch, Some(generation)) {
            panic!("{error}: {tables:#?}");
        }
        let again = all_tables(&mut socket);
        for (before, after) in tables.iter().zip(&again) {
            assert_eq!(before, after);
        }
        let relisted = run("nft", &["list", "ruleset"]);
        assert_eq!(sorted(&listed), sorted(&relisted));
    });
}

/// What this crate prints, `nft` makes the same tables of.
fn prints_what_nft_understands(text: &'static str) {
    in_namespace(move || {
        let pair = ["link", "add", "eo", "type", "veth", "peer", "name", "ei"];
        run("ip", &pair);
        nft(text);
        let mut socket = Socket::open().unwrap();
        let tables = all_tables(&mut socket);
        let printed: String = tables.iter().map(nfnetlink::render::table).collect();
        run("nft", &["flush", "ruleset"]);
        println!("{printed}");
        nft(&printed);
        let again = all_tables(&mut socket);
        for (before, after) in tables.iter().zip(&again) {
            for (name, chain) in &before.chains {
                assert_eq!(Some(chain), after.chains.get(name), "{printed}");
            }
            assert_eq!(before, after);
        }
    });
}

/// The listing's blocks in order of their text: tables, sets and chains are kept in the order
/// in which they were made.
fn sorted(listing: &str) -> Vec<String> {
    let mut lines: Vec<_> = listing.lines().map(str::trim).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn every_expression_survives() {
    survives(include_str!("../data/expressions.nft"));
}

#[test]
fn the_rules_of_a_gateway_survive() {
    survives(include_str!("../data/routing.nft"));
}

#[test]
fn the_rules_of_a_lease_gate_survive() {
    survives(include_str!("../data/switch.nft"));
}

#[test]
fn the_printed_rules_of_a_gateway_load_in_nft() {
    prints_what_nft_understands(include_str!("../data/printed.nft"));
}

#[test]
fn the_printed_rules_of_a_lease_gate_load_in_nft() {
    prints_what_nft_understands(include_str!("../data/switch.nft"));
}
