#![allow(clippy::unwrap_used)]

use super::*;

const MAC: Mac = [2, 0, 0, 0, 0, 7];

#[test]
fn an_announcement_claims_its_address() {
    for address in ["192.0.2.7", "2001:db8::7"] {
        let address: IpAddr = address.parse().unwrap();
        for frame in announcement(address, MAC) {
            assert_eq!(claim(&frame), Some((address, MAC)));
        }
    }
}

#[test]
fn r_annc_an_announcement_is_request_and_reply_and_overrides() {
    let frames = announcement("192.0.2.7".parse().unwrap(), MAC);
    let operations: Vec<u8> = frames.iter().map(|frame| frame[21]).collect();
    assert_eq!(operations, [1, 2]);
    // A reply is heeded at once only where it is for its sender.
    assert_eq!(frames[1][22..32], frames[1][32..42]);
    let frames = announcement("2001:db8::7".parse().unwrap(), MAC);
    assert_eq!(frames.len(), 1);
    let (code, flags) = (&frames[0][54..56], frames[0][58]);
    assert_eq!(
        (code, flags & 0x20, flags & 0x40),
        (&[136, 0][..], 0x20, 0),
        "override, unsolicited"
    );
}

#[test]
fn a_probe_claims_nothing() {
    for address in ["192.0.2.7", "2001:db8::7"] {
        assert_eq!(claim(&probe(address.parse().unwrap(), MAC)), None);
    }
}

#[test]
fn a_question_names_who_asks_where_it_can() {
    let (to, own) = ("192.0.2.1".parse().unwrap(), "192.0.2.7".parse().unwrap());
    let frame = question(to, Some(own), MAC);
    assert_eq!(claim(&frame), Some((own, MAC)), "the sender");
    assert_eq!(question(to, None, MAC), probe(to, MAC));
    let (to, own): (IpAddr, IpAddr) = (
        "2001:db8::1".parse().unwrap(),
        "2001:db8::7".parse().unwrap(),
    );
    let frame = question(to, Some(own), MAC);
    assert_eq!(claim(&frame), None, "a solicitation claims nothing");
    assert_eq!(
        frame[22..38],
        [0x20, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]
    );
    assert_eq!(
        frame[78..],
        [1, 1, 2, 0, 0, 0, 0, 7],
        "with the MAC to answer to"
    );
    assert_eq!(
        question(to, Some("192.0.2.7".parse().unwrap()), MAC),
        probe(to, MAC)
    );
}

#[test]
fn r_mac_a_frame_that_is_not_arp_of_ethernet_and_ipv4_claims_nothing() {
    let frame = announcement("192.0.2.7".parse().unwrap(), MAC)
        .pop()
        .unwrap();
    for (at, value) in [(14, 6), (16, 0x86), (18, 8), (19, 16), (20, 9)] {
        let mut other = frame.clone();
        other[at] = value;
        assert_eq!(claim(&other), None, "byte {at}");
    }
}

#[test]
fn a_frame_cut_anywhere_is_no_claim_and_no_panic() {
    for address in ["192.0.2.7", "2001:db8::7"] {
        for frame in announcement(address.parse().unwrap(), MAC) {
            for len in 0..28 {
                assert_eq!(claim(&frame[..len]), None, "{len}");
            }
        }
    }
}

#[test]
fn the_checksum_of_a_whole_message_is_zero() {
    let address: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let frame = announcement(address.into(), MAC).pop().unwrap();
    let body = &frame[54..];
    let len = u16::try_from(body.len()).unwrap();
    assert_eq!(checksum(address, ALL_NODES, len, body), 0);
}
