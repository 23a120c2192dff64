use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::entry::Entry;
use crate::ovn::{Place, rows};

fn switch(n: u8) -> RowId {
    RowId([n; 16])
}

fn want(lines: &[&str]) -> Rows {
    let place = Place {
        gateway: "gw".into(),
        router: "r1".into(),
        gateway_port: RowId([7; 16]),
    };
    let entries: Vec<Entry> = lines
        .iter()
        .map(|line| line.parse().expect("an entry"))
        .collect();
    rows(&entries, &place).rows
}

/// What a database does with changes, refusing what a real one would.
fn write(live: &mut Live, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Delete(id, table) => {
                let old = live.ours.remove(id).expect("deleted, and was not there");
                assert_eq!(old.table, *table);
            }
            Change::Insert(id, row) => {
                let new = LiveRow {
                    table: row.table(),
                    row: Some(row.clone()),
                    on_router: false,
                    elsewhere: false,
                    switches: RowIds::new(),
                };
                assert!(live.ours.insert(*id, new).is_none(), "duplicate uuid");
            }
            Change::Recall(id, _) => there(live, id).elsewhere = false,
            Change::Leave(id, switch) => assert!(there(live, id).switches.remove(switch)),
            Change::Update(id, row) => there(live, id).row = Some(row.clone()),
            Change::Attach(id, _) => there(live, id).on_router = true,
            Change::Join(id, switch) => assert!(there(live, id).switches.insert(*switch)),
        }
    }
}

fn there<'a>(live: &'a mut Live, id: &RowId) -> &'a mut LiveRow {
    live.ours.get_mut(id).expect("the row is there")
}

const FIP: &str = "fip f 1 192.0.2.1 10.0.0.5 both";
const SNAT: &str = "snat s 1 10.0.0.0/24 192.0.2.2";
const DNAT: &str = "dnat d 1 192.0.2.3 tcp 80 10.0.0.5 8080";

#[test]
fn what_is_right_is_not_written() {
    let want = want(&[FIP, SNAT, DNAT]);
    let mut live = Live {
        switches: [switch(1)].into(),
        ..Live::default()
    };
    let changes = difference(&want, &live);
    assert_eq!(changes.len(), 7, "{changes:?}");
    write(&mut live, &changes);
    assert_eq!(difference(&want, &live), []);
}

#[test]
fn what_somebody_changed_is_put_right() {
    let want = want(&[FIP, DNAT]);
    let mut right = Live {
        switches: [switch(1)].into(),
        ..Live::default()
    };
    let changes = difference(&want, &right);
    write(&mut right, &changes);
    let spoil: [fn(&mut LiveRow); 4] = [
        |row| row.row = None,
        |row| row.on_router = false,
        |row| row.elsewhere = true,
        |row| row.switches = [switch(9)].into(),
    ];
    for (n, spoil) in spoil.into_iter().enumerate() {
        let mut live = right.clone();
        let balancer = live
            .ours
            .values_mut()
            .find(|row| row.table == Table::LoadBalancer);
        spoil(balancer.expect("a load balancer"));
        let changes = difference(&want, &live);
        assert!(!changes.is_empty(), "{n}");
        write(&mut live, &changes);
        assert_eq!(live, right, "{n}");
    }
}

#[test]
fn what_goes_makes_room_before_anything_comes() {
    let mut live = Live::default();
    let changes = difference(&want(&[FIP]), &live);
    write(&mut live, &changes);
    let other = want(&["fip g 1 192.0.2.1 10.0.0.6 both"]);
    let words: Vec<u8> = difference(&other, &live).iter().map(rank).collect();
    assert_eq!(words, [0, 2, 2]);
}

fn entries() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        (1..6_u8, 1..6_u8, 1..3_i64)
            .prop_map(|(a, b, g)| format!("fip f{a} {g} 192.0.2.{a} 10.0.0.{b} both")),
        (1..6_u8, 1..6_u8).prop_map(|(a, b)| format!("snat s{b} 1 10.0.{b}.0/24 192.0.2.{a}")),
        (1..6_u8, 80..84_u16)
            .prop_map(|(a, p)| format!("dnat d{a} 1 192.0.2.{a} tcp {p} 10.0.0.9 {p}")),
    ];
    prop::collection::vec(line, 0..12)
}

proptest! {
    #[test]
    fn from_anything_to_anything_and_then_nothing(
        steps in prop::collection::vec((entries(), prop::collection::btree_set(1..4_u8, 0..3)), 1..6),
        about in 1..8_usize,
    ) {
        let mut live = Live::default();
        for (lines, switches) in steps {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let want = want(&lines);
            live.switches = switches.into_iter().map(switch).collect();
            let changes = difference(&want, &live);
            for batch in batches(&changes, about) {
                write(&mut live, batch);
                // The database keeps no row of `NAT` that no router names.
                live.ours.retain(|_, row| row.table != Table::Nat || row.on_router || row.elsewhere);
            }
            prop_assert_eq!(difference(&want, &live), vec![]);
            let has: BTreeMap<RowId, Row> =
                live.ours.iter().filter_map(|(id, row)| Some((*id, row.row.clone()?))).collect();
            prop_assert_eq!(has, want);
        }
    }
}
