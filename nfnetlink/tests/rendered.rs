//! Tables captured from the kernel, printed: compared with the committed text.
//! `BLESS=1` writes the text anew.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;

use nfnetlink::nftables::{Event, Object, TableContent, TableId};
use nfnetlink::{render, wire::Messages};

fn tables(capture: &str) -> BTreeMap<TableId, TableContent> {
    let mut tables: BTreeMap<TableId, TableContent> = BTreeMap::new();
    for line in capture.lines().filter(|line| !line.starts_with('#')) {
        let (_, hex) = line.split_once(' ').unwrap();
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap())
            .collect();
        let message = Messages::new(&bytes).next().unwrap().unwrap();
        match Event::read(&message).unwrap().unwrap().object {
            Object::Table(table) => {
                tables.insert(table.id.clone(), TableContent::new(table));
            }
            Object::Chain { table, chain } => {
                tables.get_mut(&table).unwrap().chain(chain, []);
            }
            Object::Rule(rule) => {
                let table = tables.get_mut(&rule.table).unwrap();
                table
                    .chains
                    .get_mut(&rule.chain)
                    .unwrap()
                    .rules
                    .push(rule.rule);
            }
            Object::Set { table, set } => {
                tables.get_mut(&table).unwrap().set(*set, []);
            }
            Object::Elements {
                table,
                set,
                elements,
            } => {
                let table = tables.get_mut(&table).unwrap();
                table.sets.get_mut(&set).unwrap().elements.extend(elements);
            }
            other => panic!("{other:?}"),
        }
    }
    tables
}

fn check(name: &str, capture: &str) {
    let printed: String = tables(capture).values().map(render::table).collect();
    let path = format!("{}/tests/data/{name}.printed", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &printed).unwrap();
    }
    assert_eq!(printed, std::fs::read_to_string(&path).unwrap());
}

#[test]
fn every_expression_is_printed() {
    check("expressions", include_str!("data/expressions.hex"));
}

#[test]
fn a_gateway_is_printed() {
    check("routing", include_str!("data/routing.hex"));
}

#[test]
fn a_lease_gate_is_printed() {
    check("switch", include_str!("data/switch.hex"));
}
