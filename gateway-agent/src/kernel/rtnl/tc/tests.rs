#![allow(clippy::unwrap_used)]

use super::*;

fn htb() -> Qdisc {
    Qdisc {
        device: 3,
        handle: 0x5c1c_0000,
        parent: ROOT,
        discipline: Discipline::Htb {
            default: 0,
            direct_packets: 10_240,
        },
    }
}

fn class(rate: u64) -> Class {
    Class {
        device: 3,
        handle: 0x5c1c_0007,
        parent: ROOT,
        rate,
        ceil: rate,
        burst: 156_250,
        ceil_burst: 156_250,
        quantum: 65_536,
        priority: 0,
    }
}

#[test]
fn what_is_asked_for_is_what_is_read() {
    let fifo = Qdisc {
        handle: 7 << 16,
        parent: 0x5c1c_0007,
        discipline: Discipline::Fifo { bytes: 131_072 },
        ..htb()
    };
    for qdisc in [htb(), fifo] {
        let request = qdisc.put();
        assert_eq!(Qdisc::read(request.kind, &request.body), Some(qdisc));
    }
    // The last fits into 32 bits, the first that does not, and the highest.
    for rate in [1_250, u64::from(u32::MAX), 1 << 32, 125_000_000_000] {
        let request = class(rate).put();
        assert_eq!(Class::read(request.kind, &request.body), Some(class(rate)));
    }
}

#[test]
fn a_class_is_what_tc_sends() {
    // `tc class add dev lo parent ffff:ffff classid 5c1c:7 htb rate 8mbit ...` by strace, the
    // rate tables left out.
    let body = class(1_000_000).put().body;
    assert_eq!(body.get(8..12).unwrap(), 0x5c1c_0007_u32.to_ne_bytes());
    let params: Vec<u8> = [
        0x0000_0100_u32,
        0,
        1_000_000,
        0x0000_0100,
        0,
        1_000_000,
        156_250,
        156_250,
        65_536,
        0,
        0,
    ]
    .iter()
    .flat_map(|number| number.to_le_bytes())
    .collect();
    assert!(body.windows(params.len()).any(|bytes| bytes == params));
    assert_eq!(params.len(), 44);
}

#[test]
fn what_is_cut_off_anywhere_is_read_without_panic() {
    for request in [htb().put(), class(1 << 33).put()] {
        for len in 0..request.body.len() {
            let body = request.body.get(..len).unwrap();
            let _ = Qdisc::read(request.kind, body);
            let _ = Class::read(request.kind, body);
        }
    }
    let mut other = htb();
    other.discipline = Discipline::Other("fq_codel".into());
    let request = other.put();
    assert_eq!(Qdisc::read(request.kind, &request.body), Some(other));
    // A class of another discipline.
    let request = class(1).put();
    let body: Vec<u8> = request
        .body
        .iter()
        .map(|b| if *b == b'h' { b'd' } else { *b })
        .collect();
    assert_eq!(Class::read(request.kind, &body), None);
}
