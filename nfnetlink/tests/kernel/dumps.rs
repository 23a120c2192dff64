//! Dumps while others write.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nfnetlink::nftables::{Batch, Element, Family, Field, Set, Table, TableContent};
use nfnetlink::{Error, Socket};

use super::namespace::in_namespace;

/// More elements than one datagram of a dump holds, so that changes fall between datagrams.
const ELEMENTS: u32 = 3000;

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

        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut socket = Socket::open().unwrap();
                let mut moves = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let (from, to) = if moves.is_multiple_of(2) {
                        ("a", "b")
                    } else {
                        ("b", "a")
                    };
                    let mut batch = Batch::new();
                    batch.delete_elements(&id, from, &elements());
                    batch.add_elements(&id, to, &elements());
                    socket.commit(&batch, None).unwrap();
                    moves += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                moves
            });
            let seen = std::panic::catch_unwind(|| watch(30));
            // Also after a failure, or the scope waits for the writer for ever.
            stop.store(true, Ordering::Relaxed);
            let moves = writer.join().unwrap();
            let seen = seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            assert!(moves > 2, "{moves}");
            assert!(seen.iter().all(|count| *count > 0), "{seen:?} of {moves}");
        });
    });
}

/// Dumps the table again and again; says how often all elements were in the first set and how
/// often in the second.
fn watch(dumps: u32) -> [u32; 2] {
    let mut socket = Socket::open().unwrap();
    let mut seen = [0; 2];
    for _ in 0..dumps {
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
    seen
}
