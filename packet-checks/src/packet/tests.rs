use super::*;

fn host(family: bool, last: u8) -> IpAddr {
    if family {
        format!("192.0.2.{last}").parse().unwrap()
    } else {
        format!("2001:db8::{last}").parse().unwrap()
    }
}

fn bodies() -> Vec<Body> {
    let udp = Body::Udp {
        from: 4000,
        to: 53,
        data: (0..200).collect(),
    };
    vec![
        udp,
        Body::Tcp {
            from: 4000,
            to: 80,
            numbers: (7, 8),
            flags: tcp::SYN | tcp::ACK,
            mss: Some(1_460),
            data: b"odd".to_vec(),
        },
        Body::Echo {
            reply: false,
            id: 9,
            data: b"ping".to_vec(),
        },
    ]
}

#[test]
fn a_packet_survives_the_wire_in_each_shape() {
    for v4 in [true, false] {
        for body in bodies() {
            let plain = Packet::new(host(v4, 1), host(v4, 2), body);
            let error = Packet::new(
                host(v4, 2),
                host(v4, 1),
                Body::Error {
                    error: IcmpError::TooBig(1_400),
                    about: Box::new(plain.clone()),
                },
            );
            let [bytes] = error.wire().try_into().unwrap();
            assert!(Packet::parse(&bytes).unwrap().is_what(&error));
            let mut shapes = vec![Shape::Plain, Shape::Fragments(16), Shape::Backwards(8)];
            if !v4 {
                shapes.extend([Shape::Atomic, Shape::Options]);
            }
            for shape in shapes {
                let mut fragments = Fragments::default();
                let all = plain.clone().shaped(shape.clone()).wire();
                let got: Vec<Packet> = all.iter().filter_map(|part| fragments.take(part)).collect();
                assert_eq!(got, std::slice::from_ref(&plain), "{shape:?}");
            }
        }
    }
}

#[test]
fn a_wrong_checksum_makes_another_packet() {
    for v4 in [true, false] {
        for body in bodies() {
            let plain = Packet::new(host(v4, 1), host(v4, 2), body);
            let [mut bytes] = plain.wire().try_into().unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            assert!(!Packet::parse(&bytes).unwrap().is_what(&plain));
        }
    }
    let plain = Packet::new(host(true, 1), host(true, 2), bodies().remove(0));
    let [bytes] = plain
        .clone()
        .shaped(Shape::NoChecksum)
        .wire()
        .try_into()
        .unwrap();
    assert!(Packet::parse(&bytes).unwrap().is_what(&plain));
}

#[test]
fn no_bytes_make_parsing_panic() {
    for v4 in [true, false] {
        for body in bodies() {
            let plain = Packet::new(host(v4, 1), host(v4, 2), body);
            for bytes in plain.shaped(Shape::Fragments(16)).wire() {
                for len in 0..bytes.len() {
                    let _ = Packet::parse(&bytes[..len]);
                    let _ = Fragments::default().take(&bytes[..len]);
                }
            }
        }
    }
}
