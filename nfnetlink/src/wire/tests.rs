//! Tests of the wire format.

use super::*;

fn message(body: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    let header = MessageHeader {
        kind: 0x0a03,
        flags: NLM_F_REQUEST,
        seq: 7,
        family: 2,
        version: 1,
        resource: 10,
    };
    writer.message(header, body);
    writer.finish().unwrap()
}

#[test]
fn a_message_has_the_bytes_of_the_format() {
    let bytes = message(|w| {
        w.put_text(1, "ab");
        w.nest(2, |w| w.put_u32_be(3, 0x0102_0304));
    });
    let expected = [
        40, 0, 0, 0, 3, 10, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, // nlmsghdr
        2, 1, 0, 10, // nfgenmsg
        7, 0, 1, 0, b'a', b'b', 0, 0, // text with NUL and padding
        12, 0, 2, 0x80, 8, 0, 3, 0, 1, 2, 3, 4, // nest
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn what_is_written_is_read() {
    let bytes = message(|w| {
        w.put_u8(1, 1);
        w.put_u16_be(2, 2);
        w.put_u64_be(3, 3);
        w.put_text(4, "four");
        w.nest(5, |w| w.put(6, &[]));
    });
    let read = Messages::new(&bytes).next().unwrap().unwrap();
    let (family, attrs) = read.netfilter().unwrap();
    let attrs = AttrMap::parse(attrs).unwrap();
    assert_eq!((read.kind, read.seq, family), (0x0a03, 7, 2));
    assert_eq!(attrs.get(1).unwrap().u8(), Ok(1));
    assert_eq!(attrs.get(2).unwrap().u16_be(), Ok(2));
    assert_eq!(attrs.u64_be(3), Ok(Some(3)));
    assert_eq!(attrs.text(4), Ok(Some("four".to_owned())));
    let inside: Vec<_> = attrs.get(5).unwrap().nested().collect();
    assert_eq!(
        inside,
        [Ok(Attr {
            kind: 6,
            payload: &[]
        })]
    );
    assert!(attrs.only(&[1, 2, 3, 4, 5]));
    assert!(!attrs.only(&[1, 2, 3, 4]));
}

#[test]
fn a_number_of_another_size_is_an_error() {
    let bytes = message(|w| w.put_u16_be(1, 2));
    let read = Messages::new(&bytes).next().unwrap().unwrap();
    let attrs = AttrMap::parse(read.netfilter().unwrap().1).unwrap();
    assert_eq!(
        attrs.u32_be(1),
        Err(WireError::AttributeSize {
            kind: 1,
            expected: 4,
            got: 2
        })
    );
}

#[test]
fn an_attribute_that_does_not_fit_is_an_error() {
    let mut writer = Writer::new();
    writer.nest(1, |w| w.put(2, &[0; 65_531]));
    assert_eq!(
        writer.finish(),
        Err(WireError::AttributeTooLong {
            kind: 1,
            len: 65_540
        })
    );
}

#[test]
fn a_length_shorter_than_its_header_is_an_error() {
    for bytes in [[3_u8, 0, 1, 0], [0, 0, 1, 0]] {
        assert!(AttrMap::parse(&bytes).is_err());
    }
    assert!(Messages::new(&[15; 16]).next().unwrap().is_err());
}

#[test]
fn an_error_has_text_and_offset() {
    let mut bytes = vec![0; 4];
    bytes.extend(NLMSG_ERROR.to_ne_bytes());
    bytes.extend((NLM_F_CAPPED | NLM_F_ACK_TLVS).to_ne_bytes());
    bytes.extend(9_u32.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend((-17_i32).to_ne_bytes());
    bytes.extend([0; NLMSG_HDRLEN]);
    let mut attrs = Writer::new();
    attrs.put_text(NLMSGERR_ATTR_MSG, "exists");
    attrs.put(NLMSGERR_ATTR_OFFS, &24_u32.to_ne_bytes());
    bytes.extend(attrs.as_bytes());
    let len = u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&len.to_ne_bytes());
    let read = Messages::new(&bytes).next().unwrap().unwrap();
    assert_eq!(
        read.ack(),
        Ok(Some(Ack {
            seq: 9,
            errno: 17,
            text: Some("exists".to_owned()),
            offset: Some(24)
        }))
    );
    for len in 16..bytes.len() {
        let mut cut = bytes[..len].to_vec();
        cut[0] = u8::try_from(len).unwrap();
        let _ = Messages::new(&cut).next().unwrap().unwrap().ack();
    }
}
