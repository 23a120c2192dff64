//! ICMP echo messages (RFC 792, RFC 4443 §4), as raw sockets want them.

use std::net::IpAddr;

/// Type of an ICMP echo request and of its reply, per family.
const ECHO4: (u8, u8) = (8, 0);
const ECHO6: (u8, u8) = (128, 129);
/// Bytes of an IPv4 header without options; raw IPv4 sockets deliver it.
const IPV4_HEADER: usize = 20;

/// An echo request that carries `number`, which no reply of another request
/// carries. The kernel fills in the checksum of ICMPv6.
#[must_use]
pub fn request(to: IpAddr, identifier: u16, number: u64) -> Vec<u8> {
    let kind = if to.is_ipv4() { ECHO4.0 } else { ECHO6.0 };
    let mut out = vec![kind, 0, 0, 0];
    out.extend(identifier.to_be_bytes());
    out.extend([0, 1]);
    out.extend(number.to_be_bytes());
    if to.is_ipv4() {
        let sum = checksum(&out).to_be_bytes();
        for (to, from) in out.iter_mut().skip(2).zip(sum) {
            *to = from;
        }
    }
    out
}

/// The number in an echo reply to `identifier`, from what a raw socket of that
/// family delivered; `None` for any other message.
#[must_use]
pub fn reply(bytes: &[u8], v4: bool, identifier: u16) -> Option<u64> {
    let (message, kind) = if v4 {
        let first = *bytes.first()?;
        let header = usize::from(first & 0x0f) * 4;
        (bytes.get(header.max(IPV4_HEADER)..)?, ECHO4.1)
    } else {
        (bytes, ECHO6.1)
    };
    let [found, 0, _, _, high, low, _, _, number @ ..] = message else {
        return None;
    };
    if *found != kind || u16::from_be_bytes([*high, *low]) != identifier {
        return None;
    }
    number
        .first_chunk::<8>()
        .map(|bytes| u64::from_be_bytes(*bytes))
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([
            pair.first().copied().unwrap_or(0),
            low,
        ]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_gives_the_number_of_its_request_and_nothing_else_does() {
        let mut bytes = request("2001:db8::1".parse().unwrap(), 7, 99);
        assert_eq!(reply(&bytes, false, 7), None, "a request is no reply");
        bytes[0] = 129;
        assert_eq!(reply(&bytes, false, 7), Some(99));
        assert_eq!(reply(&bytes, false, 8), None);
        for length in 0..bytes.len() {
            assert_eq!(reply(&bytes[..length], false, 7), None, "cut at {length}");
        }
        let mut v4 = vec![0x45; 20];
        v4.extend(request("192.0.2.1".parse().unwrap(), 7, 5));
        v4[20] = 0;
        assert_eq!(reply(&v4, true, 7), Some(5));
    }

    #[test]
    fn the_checksum_of_a_message_with_its_checksum_is_zero() {
        assert_eq!(
            checksum(&request("192.0.2.1".parse().unwrap(), 0x1234, 0xdead_beef)),
            0
        );
    }
}
