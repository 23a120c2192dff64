use proptest::prelude::*;

use super::*;

/// Objects come and go; their entries grow and shrink.
#[derive(Clone, Debug)]
struct Step {
    object: u16,
    lines: usize,
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = (0u16..400, 0usize..5).prop_map(|(object, lines)| Step { object, lines });
    prop::collection::vec(prop::collection::vec(step, 1..80), 1..12)
}

fn rank(object: u16) -> Rank {
    Rank {
        created_secs: i64::from(object % 7),
        uid: Uid::new(format!("uid-{object}")),
    }
}

fn cut_anew(lines: &BTreeMap<Uid, Vec<String>>, ranks: &BTreeSet<Rank>) -> Vec<SliceRef> {
    let mut cutter = Cutter::default();
    ranks.iter().for_each(|rank| cutter.touch(rank, true));
    cutter.slices("gw", |uid| lines[uid].as_slice())
}

proptest! {
    #[test]
    fn what_was_kept_is_what_would_be_cut_anew(rounds in steps()) {
        let mut kept = Cutter::default();
        let mut lines: BTreeMap<Uid, Vec<String>> = BTreeMap::new();
        let mut ranks = BTreeSet::new();
        for round in rounds {
            for Step { object, lines: count } in round {
                let rank = rank(object);
                let own = (0..count).map(|n| format!("{object} {n}")).collect();
                kept.touch(&rank, count > 0);
                if count > 0 {
                    ranks.insert(rank.clone());
                } else {
                    ranks.remove(&rank);
                }
                lines.insert(rank.uid, own);
            }
            let of = |uid: &Uid| lines[uid].as_slice();
            let slices = kept.slices("gw", of);
            prop_assert_eq!(&slices, &cut_anew(&lines, &ranks));
            prop_assert_eq!(kept.groups.values().map(|g| g.slices.len()).sum::<usize>(), slices.len());
            let contents = kept.contents(|_| true, of);
            for (slice, (name, spec)) in slices.iter().zip(&contents) {
                prop_assert_eq!(&slice.name, name);
                prop_assert_eq!(slice.digest, digest_of(spec));
                prop_assert_eq!(slice.entries, spec.entries.len());
            }
            let entries: Vec<&String> = contents.iter().flat_map(|(_, spec)| &spec.entries).collect();
            let wanted: Vec<&String> = ranks.iter().flat_map(|rank| &lines[&rank.uid]).collect();
            prop_assert_eq!(entries, wanted);
        }
    }
}
