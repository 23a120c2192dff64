//! Messages of route netlink, whatever is in them.

use nfnetlink::wire::Messages;
use sluice_fuzz::{feed, trait_of};

use super::{Address, Link, Proxy, Route, Rule};

/// A message with a body.
fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 16).unwrap_or(0);
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend(body);
    bytes
}

#[test]
fn fuzz_routes() -> Result<(), String> {
    let route = Route {
        table: 101,
        to: "192.0.2.0/24".parse().map_err(|e| format!("{e}"))?,
        hop: super::Hop::Link {
            device: 3,
            via: Some([192, 0, 2, 1].into()),
            onlink: true,
        },
        metric: 7,
    };
    let address = Address {
        device: 3,
        address: "2001:db8::7/64".parse().map_err(|e| format!("{e}"))?,
        flags: 0x80,
        ours: true,
    };
    let proxy = Proxy {
        device: 3,
        address: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7].into(),
    };
    let rule = Rule {
        v4: true,
        priority: 100,
        interface: Some("lan0".into()),
        mark: Some((1, 0xff)),
        from: None,
        table: 101,
    };
    let requests = [route.add(1), address.add(), proxy.add(), rule.add()];
    let messages: Vec<Vec<u8>> = requests.iter().map(|r| message(r.kind, &r.body)).collect();
    // An interface: index, flags, name, MAC, IPv4 settings.
    let mut link = vec![0; 4];
    link.extend(3_u32.to_ne_bytes());
    link.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    super::message::put(&mut link, 3, b"eth1\0");
    super::message::put(&mut link, 1, &[2, 0, 0, 0, 0, 7]);
    super::message::put(&mut link, 26, &[12, 0, 2, 0, 8, 0, 1, 0, 1, 0, 0, 0]);
    let link = message(16, &link);
    let mut seeds: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    seeds.push(&link);
    feed("routes", &seeds, &[], |input| {
        let mut ways = Vec::new();
        for message in Messages::new(input).map_while(Result::ok) {
            let (kind, body) = (message.kind, message.body);
            ways.push((
                kind,
                Link::read(kind, body).map(|link| (link.mac.is_some(), link.name.len())),
                Address::read(kind, body).map(|a| a.address.addr().is_ipv4()),
                Proxy::read(kind, body).is_some(),
                Route::read(kind, body)
                    .map(|r| (r.to.prefix_len(), std::mem::discriminant(&r.hop))),
                Rule::read(kind, body).map(|r| (r.v4, r.interface.is_some())),
                super::neighbour::read_mac(kind, body).is_some(),
            ));
        }
        trait_of(ways)
    })
}
