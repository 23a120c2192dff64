//! Dumps while others write.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nfnetlink::nftables::{Batch, Element, Family, Field, Set, Table, TableContent};
use nfnetlink::{Error, Socket};

use super::namespace::in_namespace;

/// More elements than one datagram of a dump holds, so that changes fall between datagrams.
const ELEMENTS: u32 = 3000;

/// Moves of all elements that the dumps must have lived through.
const MOVES: u32 = 10;

/// How long that may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

fn elements() -> Vec<Element> {
    (0..ELEMENTS)
        .map(|n| Element::key(Ipv4Addr::from(0x0a00_0000 + n)))
        .collect()
}

#[test]
fn a_dump_never_shows_half_of_a_batch() {
    in_namespace(|| {
        let mut content = TableContent::new(Table::new(Family::Inet, "t"));
        let id = content.table.id.clone();
        // Without a size, so that the kernel rehashes them meanwhile.
        content.set(Set::new("a", &[Field::IPV4_ADDR]), elements());
        content.set(Set::new("b", &[Field::IPV4_ADDR]), []);
        let mut batch = Batch::new();
        batch.add_content(&content);
        Socket::open().unwrap().commit(&batch, None).unwrap();

        let (stop, moves) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut socket = Socket::open().unwrap();
                for (from, to) in [("a", "b"), ("b", "a")].into_iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut batch = Batch::new();
                    batch.delete_elements(&id, from, &elements());
                    batch.add_elements(&id, to, &elements());
                    socket.commit(&batch, None).unwrap();
                    moves.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let watched = std::panic::catch_unwind(|| watch(&moves));
            // Also after a failure, or the scope waits for the writer for ever.
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap();
            watched.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    });
}

/// Dumps the table until both sets were seen full, and this after [`MOVES`] moves between them.
fn watch(moves: &AtomicU32) {
    let mut socket = Socket::open().unwrap();
    let end = Instant::now() + DEADLINE;
    let mut seen = [0_u32; 2];
    while seen.contains(&0) || moves.load(Ordering::Relaxed) < MOVES {
        assert!(Instant::now() < end, "{seen:?} of {moves:?}");
        let dump = match socket.dump_table(Family::Inet, "t") {
            Ok(dump) => dump.unwrap(),
            // An honest answer; a mixture would be a lie.
            Err(Error::Unsettled { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        let sets = dump.content.sets;
        let sizes = ["a", "b"].map(|name| sets.get(name).unwrap().elements.len());
        match sizes {
            [3000, 0] => seen[0] += 1,
            [0, 3000] => seen[1] += 1,
            other => panic!("{other:?}"),
        }
    }
}
