//! FIP, DNAT and SNAT: what each translates, and back.

use super::Table;
use crate::check::{segment, udp};
use crate::damage::Damage;
use crate::packet::tcp::{ACK, SYN};
use crate::plan::{Eip, Family, Host};

pub(super) fn add(table: &mut Table) {
    fip(table);
    dnat(table);
    snat(table);
    echoes(table);
}

fn fip(table: &mut Table) {
    for (name, from) in [
        (
            "FIP: a datagram of a neighbour reaches the inside host, and the answer comes from the EIP",
            Host::Client,
        ),
        (
            "FIP: a datagram from beyond the router reaches the inside host, and the answer goes there",
            Host::Far,
        ),
    ] {
        table.check(name, |t, check, port| {
            check
                .datagrams(&t.inward((from, port), (Eip::Fip, 53), (Host::Web, 53)))
                .notices(Damage::Set("fipin{n}"))
                .notices(Damage::Answers)
                .notices(match (t.family, from) {
                    // Strictly, by whatever way the main table knows.
                    (Family::V4, Host::Far) => Damage::Setting("ipv4/conf/all/rp_filter", "1", "0"),
                    _ => Damage::Set("paths"),
                })
                .notices(Damage::Rule("inward", "ct status dnat accept"))
                .notices(Damage::Set("paths"))
        });
    }
    table.check(
        "FIP: a connection is made from outside",
        |t, check, port| {
            let flow = t.inward((Host::Client, port), (Eip::Fip, 443), (Host::Web, 443));
            check
                .opening(&flow)
                .segment(&flow, ACK, (2, 6))
                .notices(Damage::Set("fipin{n}"))
                .notices(Damage::Rule("setup", "iifname \"eth1\""))
                .notices(Damage::RoutingRule("fwmark 0x1/0xff iif lan0"))
        },
    );
    for (name, to) in [
        (
            "FIP: what the inside host sends to a neighbour of the EIP leaves with the EIP",
            Host::Client,
        ),
        (
            "FIP: what the inside host sends beyond the router leaves with the EIP",
            Host::Far,
        ),
    ] {
        table.check(name, |t, check, port| {
            check
                .datagrams(&t.outward((Host::Web, port), Eip::Fip, (to, 53)))
                .notices(Damage::Set("fipout{n}"))
                .notices(Damage::All(vec![
                    Damage::Set("fipmark{n}"),
                    // It marks the same, for there is one uplink.
                    Damage::Set("snat{n}_{s}_mark"),
                ]))
                .notices(Damage::Rule("premark", "meta mark set"))
        });
    }
    for (name, number) in [
        ("FIP: port 1 stays port 1", 1),
        ("FIP: port 65535 stays port 65535", u16::MAX),
    ] {
        table.check(name, |t, check, port| {
            check
                .datagram(&t.inward(
                    (Host::Client, port),
                    (Eip::Fip, number),
                    (Host::Web, number),
                ))
                .notices(Damage::Set("fipin{n}"))
        });
    }
    table.check(
        "FIP: a segment amid a connection that nobody knows any more passes",
        |t, check, port| {
            let flow = t.inward((Host::Far, port), (Eip::Fip, 443), (Host::Web, 443));
            check
                .segment(&flow, ACK, (100, 200))
                .notices(Damage::Set("fipin{n}"))
                .notices(Damage::Setting(
                    "netfilter/nf_conntrack_tcp_loose",
                    "0",
                    "1",
                ))
        },
    );
}

fn dnat(table: &mut Table) {
    for (name, from) in [
        (
            "DNAT: a connection of a neighbour reaches the port's target, which sees the client",
            Host::Client,
        ),
        (
            "DNAT: a connection from beyond the router reaches the port's target, which sees the client",
            Host::Far,
        ),
    ] {
        table.check(name, |t, check, port| {
            check
                .opening(&t.inward((from, port), (Eip::Ports, 8080), (Host::Web2, 80)))
                .notices(Damage::Set("dnat{n}"))
                .notices(Damage::Rule("dstnat", "map @dnat{n}"))
        });
    }
    for (name, outer, inner) in [
        ("DNAT: a datagram to a port", 53, 53),
        ("DNAT: the first port of a shifted range", 8_000, 9_000),
        ("DNAT: a port inside a shifted range", 8_042, 9_042),
        ("DNAT: the last port of a shifted range", 8_099, 9_099),
    ] {
        table.check(name, |t, check, port| {
            let from = (Host::Client, port);
            check
                .datagrams(&t.inward(from, (Eip::Ports, outer), (Host::Web2, inner)))
                .notices(Damage::Set("dnat{n}"))
        });
    }
    for (name, number) in [
        ("DNAT: the first port of a long range", 20_000),
        ("DNAT: a port inside a long range", 20_500),
        ("DNAT: the last port of a long range", 20_999),
    ] {
        table.check(name, |t, check, port| {
            let from = (Host::Client, port);
            let flow = t.inward(from, (Eip::Ports, number), (Host::Web2, number));
            check
                .segment(&flow, SYN, (1, 0))
                .notices(Damage::Set("range{n}"))
        });
    }
    for (name, protocol, number) in [
        ("DNAT: a port beside a shifted range is silent", 17, 8_100),
        ("DNAT: a port beside a long range is silent", 6, 21_000),
        ("DNAT: the port of another protocol is silent", 17, 22),
        ("DNAT: a port that nobody forwards is silent", 6, 9_999),
    ] {
        table.check(name, |t, check, port| {
            let (client, eip) = (t.at(Host::Client, port), t.eip_at(Eip::Ports, number));
            let packet = match protocol {
                17 => udp(client, eip),
                _ => segment(client, eip, SYN, (1, 0)),
            };
            check
                .send(Host::Client, packet)
                .notices(Damage::Open("guarded"))
        });
    }
    table.check(
        "DNAT: a host with a FIP answers by the EIP that it was asked by",
        |t, check, port| {
            check
                .opening(&t.inward((Host::Client, port), (Eip::Ports, 22), (Host::Web, 22)))
                .notices(Damage::Set("dnat{n}"))
                .notices(Damage::Rule("premark", "meta mark set"))
        },
    );
    table.check(
        "DNAT: the target's own connections leave by its SNAT",
        |t, check, port| {
            check
                .datagram(&t.outward((Host::Web2, port), Eip::Own, (Host::Far, 53)))
                .notices(Damage::Set("snat{n}_{o}"))
        },
    );
}

fn snat(table: &mut Table) {
    for (name, from, eip, to, map) in [
        (
            "SNAT: a datagram to a neighbour of the EIP, and its answer",
            Host::Inner,
            Eip::Source,
            Host::Client,
            "snat{n}_{s}",
        ),
        (
            "SNAT: a datagram beyond the router, and its answer",
            Host::Inner,
            Eip::Source,
            Host::Far,
            "snat{n}_{s}",
        ),
        (
            "SNAT: the longer prefix wins",
            Host::Web2,
            Eip::Own,
            Host::Far,
            "snat{n}_{o}",
        ),
    ] {
        table.check(name, |t, check, port| {
            check
                .datagrams(&t.outward((from, port), eip, (to, 53)))
                .notices(Damage::Set(map))
                .notices(Damage::Rule("inward", "ct direction reply accept"))
                .notices(Damage::Route("90", "{L}"))
        });
    }
    table.check(
        "SNAT: one address alone (/32, /128) shows its EIP, its ports unchanged",
        |t, check, port| {
            let way = |port| t.outward((Host::Web2, port), Eip::Own, (Host::Far, 54));
            check
                .datagrams(&way(1))
                .datagrams(&way(1_023))
                .datagrams(&way(port))
                .datagrams(&way(u16::MAX))
                .notices(Damage::Set("snat{n}_{o}"))
        },
    );
    table.check("SNAT: a connection and its answer", |t, check, port| {
        check
            .opening(&t.outward((Host::Inner, port), Eip::Source, (Host::Far, 443)))
            .notices(Damage::Set("snat{n}_{s}"))
            .notices(Damage::Route("101", "default"))
            .notices(Damage::Set("snat{n}_{s}_mark"))
    });
    table.check(
        "SNAT: a segment amid a connection that nobody knows any more leaves with the EIP",
        |t, check, port| {
            let flow = t.outward((Host::Inner, port), Eip::Source, (Host::Far, 443));
            check
                .segment(&flow, ACK, (100, 200))
                .notices(Damage::Set("snat{n}_{s}"))
        },
    );
    table.check(
        "SNAT: the answer to a connection that nobody knows any more is not refused",
        |t, check, port| {
            let (far, eip) = (t.at(Host::Far, 443), t.eip_at(Eip::Source, port));
            check
                .send(Host::Far, segment(far, eip, ACK, (100, 200)))
                .notices(Damage::Open("guarded"))
        },
    );
    table.check(
        "SNAT: two hosts with one port each have their own answers",
        |t, check, port| {
            let far = (Host::Far, 53);
            let inner = t.outward((Host::Inner, port), Eip::Source, far);
            let web2 = t.outward((Host::Web2, port), Eip::Own, far);
            check
                .datagram(&inner)
                .datagram(&web2)
                .datagram(&web2.back())
                .datagram(&inner.back())
                .notices(Damage::Set("snat{n}_{o}"))
        },
    );
}

fn echoes(table: &mut Table) {
    table.check(
        "ping: an EIP with a FIP is answered by the inside host",
        |t, check, id| {
            check
                .ping(&t.inward((Host::Client, id), (Eip::Fip, id), (Host::Web, id)))
                .notices(Damage::Set("fipin{n}"))
        },
    );
    for (name, eip) in [
        (
            "ping: an EIP without rules is answered by the gateway",
            Eip::Bare,
        ),
        (
            "ping: an EIP with DNAT is answered by the gateway",
            Eip::Ports,
        ),
        (
            "ping: an EIP with SNAT is answered by the gateway",
            Eip::Source,
        ),
    ] {
        table.check(name, |t, check, id| {
            check
                .pinged(Host::Far, t.host(Host::Far), t.eip(eip), id)
                .notices(Damage::Rule("guarded", "echo-request accept"))
                .notices(Damage::All(vec![
                    Damage::Rule("outroute", "direction reply meta mark set ct mark"),
                    Damage::Route("101", "default"),
                ]))
        });
    }
    table.check("ping: an inside host behind SNAT", |t, check, id| {
        check
            .ping(&t.outward((Host::Inner, id), Eip::Source, (Host::Far, id)))
            .notices(Damage::Set("snat{n}_{s}"))
    });
}
