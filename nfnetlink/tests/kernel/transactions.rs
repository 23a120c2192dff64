//! All or nothing, on a stated generation, by the owner only.

use std::net::Ipv4Addr;

use nfnetlink::nftables::{
    Batch, BatchError, Change, Element, Family, Field, Generation, Object, Set, Table,
    TableContent, TableFlags, TableId,
};
use nfnetlink::{Errno, EventSocket, Socket};

use super::listings::nft;
use super::namespace::{in_namespace, run};

fn id() -> TableId {
    TableId::new(Family::Ipv4, "t")
}

fn with_set() -> TableContent {
    let mut content = TableContent::new(Table::new(Family::Ipv4, "t"));
    content.set(Set::new("s", &[Field::IPV4_ADDR]).with_size(1 << 20), []);
    content
}

fn made(socket: &mut Socket) -> Generation {
    let mut batch = Batch::new();
    batch.add_content(&with_set());
    let committed = socket.commit(&batch, None).unwrap();
    committed.generation.expect("a change makes a generation")
}

fn keys(count: u32) -> Vec<Element> {
    (0..count)
        .map(|n| Element::key(Ipv4Addr::from(0x0a00_0000 + n)))
        .collect()
}

#[test]
fn a_stale_batch_applies_nothing() {
    in_namespace(|| {
        let mut socket = Socket::open().unwrap();
        let generation = made(&mut socket);
        nft("add table ip foreign");
        let mut batch = Batch::new();
        batch.add_elements(&id(), "s", &keys(1));
        assert_eq!(
            socket.commit(&batch, Some(generation)),
            Err(BatchError::Stale {
                expected: generation
            })
        );
        assert_eq!(socket.elements(&id(), "s").unwrap(), []);
        let now = socket.generation().unwrap();
        assert_eq!(now, generation.next());
        let committed = socket.commit(&batch, Some(now)).unwrap();
        assert_eq!(committed.generation, Some(now.next()));
    });
}

#[test]
fn a_refused_element_is_named_and_nothing_is_applied() {
    in_namespace(|| {
        let mut socket = Socket::open().unwrap();
        let generation = made(&mut socket);
        let mut batch = Batch::new();
        batch.add_elements(&id(), "s", &keys(10));
        let mut wrong = keys(5000);
        wrong[4321] = Element::map(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
        batch.add_elements(&id(), "s", &wrong);
        let error = socket.commit(&batch, None).unwrap_err();
        let BatchError::Refused { first, more: 0 } = error else {
            panic!("{error:?}");
        };
        assert_eq!(first.index, 1);
        assert_eq!(first.errno, Errno::INVAL);
        assert_eq!(first.operation.name, "s");
        assert_eq!(socket.elements(&id(), "s").unwrap(), []);
        assert_eq!(socket.generation().unwrap(), generation);
    });
}

#[test]
fn an_element_that_does_not_exist_is_named_by_its_index() {
    in_namespace(|| {
        let mut socket = Socket::open().unwrap();
        made(&mut socket);
        let mut batch = Batch::new();
        batch.add_elements(&id(), "s", &keys(4000));
        socket.commit(&batch, None).unwrap();
        let mut batch = Batch::new();
        let mut gone = keys(4000);
        gone[3456] = Element::key(Ipv4Addr::LOCALHOST);
        batch.delete_elements(&id(), "s", &gone);
        let error = socket.commit(&batch, None).unwrap_err();
        let BatchError::Refused { first, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(first.errno, Errno::NOENT);
        assert_eq!(first.element, Some(3456), "{error}");
        assert_eq!(socket.elements(&id(), "s").unwrap().len(), 4000);
    });
}

#[test]
fn a_missing_chain_is_refused_with_the_place_of_the_attribute() {
    in_namespace(|| {
        let mut socket = Socket::open().unwrap();
        made(&mut socket);
        let mut batch = Batch::new();
        batch.delete_chain(&id(), "nowhere");
        let error = socket.commit(&batch, None).unwrap_err();
        let BatchError::Refused { first, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(first.errno, Errno::NOENT);
        assert!(first.offset.is_some());
        assert_eq!(
            error.to_string(),
            "kernel refused operation 0 (delete chain ip t nowhere): \
             No such file or directory (os error 2)"
        );
    });
}

#[test]
fn an_echo_returns_each_element_and_no_change_makes_no_generation() {
    in_namespace(|| {
        let mut socket = Socket::open().unwrap();
        let generation = made(&mut socket);
        let elements = keys(20_000);
        let mut batch = Batch::with_echo();
        batch.add_elements(&id(), "s", &elements);
        let committed = socket.commit(&batch, Some(generation)).unwrap();
        assert_eq!(committed.generation, Some(generation.next()));
        let mut echoed: Vec<Element> = committed
            .echoed
            .into_iter()
            .flat_map(|event| match event.object {
                Object::Elements { elements, .. } => elements,
                other => panic!("{other:?}"),
            })
            .collect();
        echoed.sort();
        assert_eq!(echoed, elements);
        assert_eq!(socket.elements(&id(), "s").unwrap().len(), 20_000);
        let nothing = socket.commit(&Batch::new(), Some(generation)).unwrap();
        assert_eq!(nothing.generation, None);
    });
}

#[test]
fn only_the_owner_edits_and_the_table_outlives_it() {
    in_namespace(|| {
        let mut first = Socket::open().unwrap();
        let mut content = with_set();
        content.table.flags = TableFlags::PERSIST;
        let mut batch = Batch::new();
        batch.add_content(&content);
        match first.commit(&batch, None) {
            Err(BatchError::Unsupported { feature }) => {
                eprintln!("SKIPPED: kernel lacks {feature}");
                return;
            }
            other => other.unwrap(),
        };
        let own = |socket: &mut Socket| {
            let mut table = content.table.clone();
            table.flags = TableFlags::PERSIST | TableFlags::OWNER;
            let mut batch = Batch::new();
            batch.add_table(&table);
            socket.commit(&batch, None)
        };
        own(&mut first).unwrap();
        let dump = first.dump_table(Family::Ipv4, "t").unwrap().unwrap();
        assert_eq!(dump.owner, Some(first.port().unwrap()));

        let mut second = Socket::open().unwrap();
        let mut edit = Batch::new();
        edit.add_elements(&id(), "s", &keys(1));
        let error = second.commit(&edit, None).unwrap_err();
        let BatchError::Refused { first: refusal, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(refusal.errno, Errno::PERM);
        run("nft", &["flush", "ruleset"]);
        first.commit(&edit, None).unwrap();

        drop(first);
        let dump = second.dump_table(Family::Ipv4, "t").unwrap().unwrap();
        assert_eq!(dump.owner, None, "the table outlives its owner");
        assert_eq!(dump.content.sets["s"].elements.len(), 1);
        own(&mut second).unwrap();
        let dump = second.dump_table(Family::Ipv4, "t").unwrap().unwrap();
        assert_eq!(dump.owner, Some(second.port().unwrap()));
        let mut remove = Batch::new();
        remove.delete_elements(&id(), "s", &keys(1));
        second.commit(&remove, None).unwrap();
    });
}

#[test]
fn events_tell_own_edits_from_foreign_ones() {
    in_namespace(|| {
        let mut events = EventSocket::open().unwrap();
        let mut socket = Socket::open().unwrap();
        let generation = made(&mut socket);
        let port = socket.port().unwrap();
        let mut seen = Vec::new();
        while let Some(event) = events.try_next().unwrap() {
            assert_eq!(event.port, port);
            seen.push(event);
        }
        assert_eq!(seen.len(), 3, "{seen:?}");
        let own = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        assert!(
            matches!(&seen[2].object, Object::Generation { generation: g, pid, .. }
                if *g == generation && *pid == own),
            "{seen:?}"
        );

        nft("add element ip t s { 192.0.2.7 }\ndelete element ip t s { 192.0.2.7 }");
        let mut changes = Vec::new();
        while let Some(event) = events.try_next().unwrap() {
            assert_ne!(event.port, port);
            match event.object {
                Object::Elements { elements, .. } => {
                    assert_eq!(elements, [Element::key(Ipv4Addr::new(192, 0, 2, 7))]);
                    changes.push(event.change);
                }
                Object::Generation { process, pid, .. } => {
                    assert_eq!(process, "nft");
                    assert_ne!(pid, own);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(changes, [Change::Added, Change::Removed]);
        nft("delete table ip t");
        let mut gone = false;
        while let Some(event) = events.try_next().unwrap() {
            gone |= event.change == Change::Removed && event.object == Object::TableName(id());
        }
        assert!(gone);
    });
}

#[test]
fn an_expired_element_cannot_be_renewed_by_delete_and_add() {
    in_namespace(|| {
        let mut socket = Socket::open().unwrap();
        let mut content = TableContent::new(Table::new(Family::Ipv4, "t"));
        let lease = Element::key(nfnetlink::nftables::Value::ifname("lan0"));
        content.set(
            Set::new("lease", &[Field::IFNAME]).with_timeout_ms(200),
            [lease.clone()],
        );
        let mut batch = Batch::new();
        batch.add_content(&content);
        socket.commit(&batch, None).unwrap();
        let mut renew = Batch::new();
        renew.delete_elements(&id(), "lease", [&lease]);
        renew.add_elements(&id(), "lease", [&lease]);
        socket.commit(&renew, None).unwrap();
        let listed = socket.elements(&id(), "lease").unwrap();
        assert_eq!(listed.len(), 1);
        assert!(listed[0].expiration_ms.is_some_and(|ms| ms <= 200));
        while !socket.elements(&id(), "lease").unwrap().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let error = socket.commit(&renew, None).unwrap_err();
        let BatchError::Refused { first, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!((first.index, first.errno), (0, Errno::NOENT));
        assert_eq!(socket.elements(&id(), "lease").unwrap(), []);
    });
}
