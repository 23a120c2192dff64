use super::*;

fn targets(list: &[(u8, u8)]) -> Targets {
    let list = list
        .iter()
        .map(|(host, weight)| (std::net::Ipv4Addr::new(10, 244, 0, *host).into(), *weight));
    Targets::new(list).unwrap()
}

fn ports(first: u16, last: u16) -> Ports {
    Ports::new(first, last).unwrap()
}

#[test]
fn a_dnat_costs_what_it_has_in_the_maps() {
    let one = targets(&[(5, 1)]);
    let three = targets(&[(5, 1), (6, 1), (7, 1)]);
    let drained = targets(&[(5, 1), (6, 1), (7, 0), (8, 0)]);
    let web = ports(80, 80);
    for (from, to, targets, expected) in [
        // One element is enough.
        (web, web, &one, 0),
        (Ports::ALL, Ports::ALL, &one, 0),
        (ports(1000, 1064), ports(1000, 1064), &one, 0),
        // An element for each port.
        (ports(1000, 1063), ports(1000, 1063), &one, 64),
        (ports(1000, 1064), ports(2000, 2064), &one, 65),
        // A slot each, and what is drained keeps an element.
        (web, web, &three, SLOTS),
        (web, web, &drained, SLOTS + 2),
        (Ports::ALL, Ports::ALL, &drained, SLOTS + 2),
        (
            ports(1000, 1001),
            ports(2000, 2001),
            &drained,
            2 * (SLOTS + 2),
        ),
        // A range over several is one of each.
        (ports(1000, 1001), ports(1000, 1001), &three, 3),
        (ports(1000, 1001), ports(1000, 1001), &drained, 4),
    ] {
        let found = expanded(from, to, targets);
        assert_eq!(found, expected, "{from:?} to {to:?} of {targets:?}");
        let body = Body::Dnat {
            address: "192.0.2.1".parse().unwrap(),
            protocol: sluice_crds::user::Protocol::TCP,
            ports: from,
            targets: targets.clone(),
            inside_ports: to,
        };
        assert_eq!(body.expanded(), expected);
    }
    let addr = Body::Addr {
        address: "192.0.2.1".parse().unwrap(),
        uplink: "external".to_owned(),
    };
    assert_eq!(addr.expanded(), 0);
}
