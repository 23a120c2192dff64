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
fn a_probe_claims_nothing() {
    for address in ["192.0.2.7", "2001:db8::7"] {
        assert_eq!(claim(&probe(address.parse().unwrap(), MAC)), None);
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
