//! What the kernel's answers to a batch mean.

use super::*;
use crate::nftables::{Element, Family, Table, TableId};

fn batch(flags: TableFlags) -> Batch {
    let mut table = Table::new(Family::Inet, "t");
    table.flags = flags;
    let mut batch = Batch::new();
    batch.add_table(&table);
    batch.destroy_set(&table.id, "old");
    batch.add_elements(
        &table.id,
        "s",
        &[Element::key(std::net::Ipv4Addr::LOCALHOST)],
    );
    batch
}

fn ack(seq: u32, errno: i32) -> Ack {
    Ack {
        seq,
        errno,
        text: None,
        offset: None,
    }
}

fn meaning(flags: TableFlags, acks: &[Ack]) -> Option<BatchError> {
    failure(&batch(flags), Some(Generation(7)), acks)
}

#[test]
fn no_error_is_success() {
    assert_eq!(meaning(TableFlags::empty(), &[]), None);
}

#[test]
fn restart_means_stale() {
    let expected = Generation(7);
    assert_eq!(
        meaning(TableFlags::empty(), &[ack(BEGIN_SEQ, ERESTART)]),
        Some(BatchError::Stale { expected })
    );
}

#[test]
fn a_refused_head_means_that_the_caller_may_not() {
    let errno = Errno::PERM.raw_os_error();
    assert_eq!(
        meaning(TableFlags::empty(), &[ack(BEGIN_SEQ, errno)]),
        Some(BatchError::NotPermitted)
    );
}

#[test]
fn a_refused_persistent_table_means_an_old_kernel() {
    let refused = [ack(1, Errno::OPNOTSUPP.raw_os_error())];
    assert_eq!(
        meaning(TableFlags::PERSIST, &refused),
        Some(BatchError::Unsupported {
            feature: "NFT_TABLE_F_PERSIST"
        })
    );
    assert!(matches!(
        meaning(TableFlags::OWNER, &refused),
        Some(BatchError::Refused { .. })
    ));
}

#[test]
fn a_refused_destroy_of_unknown_number_means_an_old_kernel() {
    assert_eq!(
        meaning(TableFlags::empty(), &[ack(2, Errno::INVAL.raw_os_error())]),
        Some(BatchError::Unsupported {
            feature: "NFT_MSG_DESTROY*"
        })
    );
}

#[test]
fn the_first_of_several_refusals_is_named() {
    let errno = Errno::NOENT.raw_os_error();
    let Some(BatchError::Refused { first, more }) =
        meaning(TableFlags::empty(), &[ack(3, errno), ack(1, errno)])
    else {
        panic!("not refused");
    };
    assert_eq!((first.index, more), (2, 1));
    assert_eq!(first.operation.table, TableId::new(Family::Inet, "t"));
}
