//! Generated expressions and elements survive writing and reading.

use proptest::prelude::*;

use super::expr::*;
use super::rule::{read_exprs, write_exprs};
use super::*;
use crate::wire::{MessageHeader, Messages, Writer};

fn value(len: std::ops::Range<usize>) -> impl Strategy<Value = Value> {
    prop::collection::vec(any::<u8>(), len).prop_map(Value)
}

fn reg() -> impl Strategy<Value = Reg> {
    (0_u8..16).prop_map(Reg::slot)
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,20}"
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        Just(Verdict::Continue),
        Just(Verdict::Break),
        Just(Verdict::Return),
        name().prop_map(Verdict::Jump),
        name().prop_map(Verdict::Goto),
        (2_i32..1000).prop_map(Verdict::Other),
    ]
}

fn number<T: Copy + std::fmt::Debug + 'static>(
    from: fn(u32) -> Option<T>,
) -> impl Strategy<Value = T> {
    let known: Vec<T> = (0..64).filter_map(from).collect();
    prop::sample::select(known)
}

fn range() -> impl Strategy<Value = NatRange> {
    (reg(), reg()).prop_map(|(min, max)| NatRange { min, max })
}

fn flags() -> impl Strategy<Value = NatFlags> {
    (0_u32..32).prop_map(|bits| NatFlags::from_bits_retain(bits << 2))
}

fn loading() -> impl Strategy<Value = Expr> {
    prop_oneof![
        (number(MetaKey::from_number), reg())
            .prop_map(|(key, dreg)| Meta::Load { key, dreg }.into()),
        (number(MetaKey::from_number), reg())
            .prop_map(|(key, sreg)| Meta::Set { key, sreg }.into()),
        (
            number(CtKey::from_number),
            prop::option::of(number(Direction::from_number)),
            reg()
        )
            .prop_map(|(key, direction, dreg)| Ct::Load {
                key,
                direction,
                dreg
            }
            .into()),
        (number(CtKey::from_number), reg()).prop_map(|(key, sreg)| {
            let direction = None;
            Ct::Set {
                key,
                direction,
                sreg,
            }
            .into()
        }),
        (number(RtKey::from_number), reg()).prop_map(|(key, dreg)| Rt { key, dreg }.into()),
        (
            number(PayloadBase::from_number),
            any::<u32>(),
            any::<u32>(),
            reg()
        )
            .prop_map(|(base, offset, len, dreg)| Payload::load((base, offset, len), dreg).into()),
        (
            number(ExtHdrOp::from_number),
            any::<u8>(),
            any::<u32>(),
            any::<bool>(),
            reg()
        )
            .prop_map(|(op, kind, offset, presence, dreg)| {
                let len = 2;
                ExtHdr {
                    op,
                    kind,
                    offset,
                    len,
                    presence,
                    dreg,
                }
                .into()
            }),
        (number(FibResult::from_number), 0_u32..64, reg()).prop_map(|(result, bits, dreg)| {
            let flags = FibFlags::from_bits_retain(bits);
            Fib {
                result,
                flags,
                dreg,
            }
            .into()
        }),
        (
            number(NumGenKind::from_number),
            any::<u32>(),
            any::<u32>(),
            reg()
        )
            .prop_map(|(kind, modulus, offset, dreg)| NumGen {
                kind,
                modulus,
                offset,
                dreg
            }
            .into()),
        (
            number(HashKind::from_number),
            prop::option::of((reg(), any::<u32>())),
            any::<u32>(),
            prop::option::of(any::<u32>()),
            any::<u32>(),
            reg()
        )
            .prop_map(|(kind, source, modulus, seed, offset, dreg)| {
                Hash {
                    kind,
                    source,
                    modulus,
                    seed,
                    offset,
                    dreg,
                }
                .into()
            }),
    ]
}

fn acting() -> impl Strategy<Value = Expr> {
    prop_oneof![
        (reg(), number(CmpOp::from_number), value(1..64)).prop_map(|(sreg, op, value)| Cmp {
            sreg,
            op,
            value
        }
        .into()),
        (reg(), any::<bool>(), value(1..16), value(1..16)).prop_map(|(sreg, outside, from, to)| {
            Range {
                sreg,
                outside,
                from,
                to,
            }
            .into()
        }),
        (reg(), reg(), value(1..16)).prop_map(|(sreg, dreg, mask)| {
            let xor = mask.clone();
            Bitwise {
                sreg,
                dreg,
                mask,
                xor,
            }
            .into()
        }),
        (reg(), reg(), number(ByteorderOp::from_number)).prop_map(|(sreg, dreg, op)| Byteorder {
            sreg,
            dreg,
            op,
            len: 8,
            size: 4
        }
        .into()),
        (
            name(),
            reg(),
            prop_oneof![
                Just(LookupResult::Member),
                Just(LookupResult::NotMember),
                Just(LookupResult::Verdict),
                reg().prop_map(LookupResult::Map)
            ]
        )
            .prop_map(|(set, sreg, result)| Lookup { set, sreg, result }.into()),
        (reg(), value(1..64)).prop_map(|(dreg, value)| Immediate { dreg, value }.into()),
        verdict().prop_map(Expr::from),
        (
            number(NatKind::from_number),
            any::<bool>(),
            prop::option::of(range()),
            prop::option::of(range()),
            flags()
        )
            .prop_map(|(kind, ipv6, addr, port, flags)| {
                Nat {
                    kind,
                    ipv6,
                    addr,
                    port,
                    flags,
                }
                .into()
            }),
        (flags(), prop::option::of(range()))
            .prop_map(|(flags, port)| Masquerade { flags, port }.into()),
        any::<u8>().prop_map(|code| Reject::Icmpx(code).into()),
        any::<u8>().prop_map(|code| Reject::Icmp(code).into()),
        Just(Reject::TcpReset.into()),
        Just(Expr::NoTrack),
        (any::<u64>(), any::<u64>()).prop_map(|(packets, bytes)| Counter { packets, bytes }.into()),
        (
            any::<u64>(),
            any::<u64>(),
            any::<u32>(),
            number(LimitKind::from_number),
            any::<bool>()
        )
            .prop_map(|(rate, unit_secs, burst, kind, over)| {
                Limit {
                    rate,
                    unit_secs,
                    burst,
                    kind,
                    over,
                }
                .into()
            }),
        (any::<u32>(), any::<bool>()).prop_map(|(count, over)| ConnLimit { count, over }.into()),
        (number(PayloadBase::from_number), any::<u32>(), reg()).prop_map(|(base, offset, sreg)| {
            PayloadWrite {
                base,
                offset,
                len: 2,
                sreg,
                checksum: 1,
                checksum_offset: 10,
                checksum_flags: 1,
            }
            .into()
        }),
        reg().prop_map(|sreg| ExtHdrWrite::max_segment_size(sreg).into()),
        (
            "x[a-z]{1,8}",
            prop::option::of(Just(vec![8, 0, 1, 0, 1, 2, 3, 4]))
        )
            .prop_map(|(name, raw)| Expr::Unknown { name, raw }),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let flat = prop_oneof![loading(), acting()];
    let dynset = (
        number(DynSetOp::from_number),
        name(),
        reg(),
        prop::option::of(reg()),
        prop::option::of(1_u64..100_000),
        prop::collection::vec(acting(), 0..3),
        any::<bool>(),
    )
        .prop_map(|(op, set, key, data, timeout_ms, exprs, inverted)| {
            DynSet {
                op,
                set,
                key,
                data,
                timeout_ms,
                exprs,
                inverted,
            }
            .into()
        });
    prop_oneof![4 => flat, 1 => dynset]
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        value(1..64).prop_map(Data::Value),
        verdict().prop_map(Data::Verdict)
    ]
}

fn element() -> impl Strategy<Value = Element> {
    (
        value(1..64),
        prop::option::of(value(1..64)),
        prop::option::of(data()),
        prop::option::of(any::<u64>()),
        prop::option::of(any::<u64>()),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(acting(), 0..3),
        any::<bool>(),
    )
        .prop_map(
            |(key, key_end, data, timeout_ms, expiration_ms, userdata, exprs, end)| Element {
                key,
                key_end,
                flags: if end {
                    ElementFlags::INTERVAL_END
                } else {
                    ElementFlags::empty()
                },
                data,
                timeout_ms,
                expiration_ms,
                userdata,
                exprs,
            },
        )
}

proptest! {
    #[test]
    fn expressions_survive(exprs in prop::collection::vec(expr(), 0..8)) {
        let mut writer = Writer::new();
        write_exprs(&exprs, &mut writer);
        let bytes = writer.finish().unwrap();
        prop_assert_eq!(read_exprs(&bytes, 0).unwrap(), exprs);
    }

    #[test]
    fn cut_expressions_never_panic(exprs in prop::collection::vec(expr(), 1..4)) {
        let mut writer = Writer::new();
        write_exprs(&exprs, &mut writer);
        let bytes = writer.finish().unwrap();
        for len in 0..bytes.len() {
            let _ = read_exprs(&bytes[..len], 0);
        }
    }

    #[test]
    fn elements_survive(elements in prop::collection::vec(element(), 1..20)) {
        let table = TableId::new(Family::Inet, "t");
        let mut batch = Batch::new();
        batch.add_elements(&table, "s", &elements);
        let message = Messages::new(batch.body().unwrap()).next().unwrap().unwrap();
        let (family, attrs) = message.netfilter().unwrap();
        let read = super::element::read_elements(family, attrs).unwrap();
        prop_assert_eq!(read, (table, "s".to_owned(), elements));
    }

    #[test]
    fn sets_survive(
        len in 1_u32..64,
        fields in prop::collection::vec(1_u32..16, 0..4),
        flags in 0_u32..512,
        size in prop::option::of(any::<u32>()),
        timeout in prop::option::of(any::<u64>()),
        verdicts in any::<bool>(),
        exprs in prop::collection::vec(acting(), 0..3),
    ) {
        let mut set = Set::verdict_map("m", &[Field::IFNAME, Field::MARK]);
        set.key.len = len;
        set.key.fields = fields;
        set.flags = SetFlags::from_bits_retain(flags);
        set.size = size;
        set.timeout_ms = timeout;
        set.exprs = exprs;
        if !verdicts {
            set.data = Some(MapType::Value { id: 7, len: 4 });
        }
        let table = TableId::new(Family::Inet, "t");
        let mut writer = Writer::new();
        writer.message(MessageHeader::default(), |w| set.write(&table, 1, w));
        let bytes = writer.finish().unwrap();
        let message = Messages::new(&bytes).next().unwrap().unwrap();
        let read = Set::read(1, message.netfilter().unwrap().1).unwrap();
        prop_assert_eq!(read, (table, set));
    }
}

#[test]
fn a_long_list_of_elements_takes_several_messages_and_each_is_found_again() {
    let table = TableId::new(Family::Inet, "t");
    let elements: Vec<_> = (0..10_000_u32)
        .map(|n| Element::key(std::net::Ipv4Addr::from(n)))
        .collect();
    let mut batch = Batch::new();
    batch.delete_set(&table, "other");
    batch.add_elements(&table, "s", &elements);
    let messages: Vec<_> = Messages::new(batch.body().unwrap())
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(messages.len() > 3, "{}", messages.len());
    let mut read = Vec::new();
    for message in &messages[1..] {
        assert!(message.body.len() < 65_536);
        let (family, attrs) = message.netfilter().unwrap();
        let (_, _, some) = super::element::read_elements(family, attrs).unwrap();
        // The list begins after the headers, the table's and the set's name.
        let first = 16 + 4 + 8 + 8 + 4;
        let place = batch.locate(message.seq, Some(first + 4));
        assert_eq!(place, Some((1, Some(read.len()))));
        read.extend(some);
    }
    assert_eq!(read, elements);
    assert_eq!(batch.locate(1, Some(20)), Some((0, None)));
    assert_eq!(batch.locate(0, None), None);
    assert_eq!(batch.locate(1000, None), None);
}

#[test]
fn registers_have_the_numbers_that_the_kernel_lists() {
    let numbers: Vec<_> = (0..16).map(|slot| Reg::slot(slot).number()).collect();
    assert_eq!(
        numbers,
        [1, 9, 10, 11, 2, 13, 14, 15, 3, 17, 18, 19, 4, 21, 22, 23]
    );
    for slot in 0..16 {
        let reg = Reg::slot(slot);
        assert_eq!(Reg::from_number(reg.number()), Some(reg));
    }
    assert_eq!(Reg::from_number(8), Some(Reg::R1));
    assert_eq!(Reg::from_number(0), None);
}

#[test]
fn a_range_ends_before_the_next_value() {
    let range = Element::range(Value::port(8000), &Value::port(8099), None);
    assert_eq!(range[0].key, Value::port(8000));
    assert_eq!(range[1].key, Value::port(8100));
    assert_eq!(range[1].flags, ElementFlags::INTERVAL_END);
    let to_the_end = Element::range(Value::port(8000), &Value::port(65_535), None);
    assert_eq!(to_the_end.len(), 1);
}

#[test]
fn a_generation_skips_zero() {
    assert_eq!(Generation(7).next(), Generation(8));
    assert_eq!(Generation(u32::MAX).next(), Generation(1));
}
