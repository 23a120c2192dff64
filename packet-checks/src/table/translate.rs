//! FIP, DNAT and SNAT: what each translates, and back.

use super::Table;
use crate::check::{echo, segment, udp};
use crate::damage::Damage;
use crate::packet::tcp::{ACK, SYN};
use crate::plan::{Eip, Host};

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
                .send(from, udp(t.at(from, port), t.eip_at(Eip::Fip, 53)))
                .arrives(Host::Web, udp(t.at(from, port), t.at(Host::Web, 53)))
                .send(Host::Web, udp(t.at(Host::Web, 53), t.at(from, port)))
                .arrives(from, udp(t.eip_at(Eip::Fip, 53), t.at(from, port)))
                .notices(Damage::Set("fipin{n}"))
                .notices(Damage::Answers)
                .notices(Damage::Rule("inward", "ct status dnat accept"))
                .notices(Damage::Set("paths"))
        });
    }
    table.check(
        "FIP: a connection is made from outside",
        |t, check, port| {
            let (client, eip, web) = (
                t.at(Host::Client, port),
                t.eip_at(Eip::Fip, 443),
                t.at(Host::Web, 443),
            );
            check
                .send(Host::Client, segment(client, eip, SYN, (1, 0)))
                .arrives(Host::Web, segment(client, web, SYN, (1, 0)))
                .send(Host::Web, segment(web, client, SYN | ACK, (5, 2)))
                .arrives(Host::Client, segment(eip, client, SYN | ACK, (5, 2)))
                .send(Host::Client, segment(client, eip, ACK, (2, 6)))
                .arrives(Host::Web, segment(client, web, ACK, (2, 6)))
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
                .send(Host::Web, udp(t.at(Host::Web, port), t.at(to, 53)))
                .arrives(to, udp(t.eip_at(Eip::Fip, port), t.at(to, 53)))
                .send(to, udp(t.at(to, 53), t.eip_at(Eip::Fip, port)))
                .arrives(Host::Web, udp(t.at(to, 53), t.at(Host::Web, port)))
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
                .send(
                    Host::Client,
                    udp(t.at(Host::Client, port), t.eip_at(Eip::Fip, number)),
                )
                .arrives(
                    Host::Web,
                    udp(t.at(Host::Client, port), t.at(Host::Web, number)),
                )
                .notices(Damage::Set("fipin{n}"))
        });
    }
    table.check(
        "FIP: a segment amid a connection that nobody knows any more passes",
        |t, check, port| {
            check
                .send(
                    Host::Far,
                    segment(
                        t.at(Host::Far, port),
                        t.eip_at(Eip::Fip, 443),
                        ACK,
                        (100, 200),
                    ),
                )
                .arrives(
                    Host::Web,
                    segment(t.at(Host::Far, port), t.at(Host::Web, 443), ACK, (100, 200)),
                )
                .notices(Damage::Set("fipin{n}"))
                .notices(Damage::Setting("netfilter/nf_conntrack_tcp_loose", "0"))
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
            let (client, eip, target) = (
                t.at(from, port),
                t.eip_at(Eip::Ports, 8080),
                t.at(Host::Web2, 80),
            );
            check
                .send(from, segment(client, eip, SYN, (1, 0)))
                .arrives(Host::Web2, segment(client, target, SYN, (1, 0)))
                .send(Host::Web2, segment(target, client, SYN | ACK, (5, 2)))
                .arrives(from, segment(eip, client, SYN | ACK, (5, 2)))
                .notices(Damage::Set("dnat{n}"))
                .notices(Damage::Rule("dstnat", "map @dnat{n}"))
        });
    }
    for (name, outer, inner, map) in [
        ("DNAT: a datagram to a port", 53, 53, "dnat{n}"),
        (
            "DNAT: the first port of a shifted range",
            8_000,
            9_000,
            "dnat{n}",
        ),
        (
            "DNAT: a port inside a shifted range",
            8_042,
            9_042,
            "dnat{n}",
        ),
        (
            "DNAT: the last port of a shifted range",
            8_099,
            9_099,
            "dnat{n}",
        ),
    ] {
        table.check(name, |t, check, port| {
            let (client, eip, target) = (
                t.at(Host::Client, port),
                t.eip_at(Eip::Ports, outer),
                t.at(Host::Web2, inner),
            );
            check
                .send(Host::Client, udp(client, eip))
                .arrives(Host::Web2, udp(client, target))
                .send(Host::Web2, udp(target, client))
                .arrives(Host::Client, udp(eip, client))
                .notices(Damage::Set(map))
        });
    }
    for (name, number) in [
        ("DNAT: the first port of a long range", 20_000),
        ("DNAT: a port inside a long range", 20_500),
        ("DNAT: the last port of a long range", 20_999),
    ] {
        table.check(name, |t, check, port| {
            let (client, eip, target) = (
                t.at(Host::Client, port),
                t.eip_at(Eip::Ports, number),
                t.at(Host::Web2, number),
            );
            check
                .send(Host::Client, segment(client, eip, SYN, (1, 0)))
                .arrives(Host::Web2, segment(client, target, SYN, (1, 0)))
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
            let (client, eip, web) = (
                t.at(Host::Client, port),
                t.eip_at(Eip::Ports, 22),
                t.at(Host::Web, 22),
            );
            check
                .send(Host::Client, segment(client, eip, SYN, (1, 0)))
                .arrives(Host::Web, segment(client, web, SYN, (1, 0)))
                .send(Host::Web, segment(web, client, SYN | ACK, (5, 2)))
                .arrives(Host::Client, segment(eip, client, SYN | ACK, (5, 2)))
                .notices(Damage::Set("dnat{n}"))
                .notices(Damage::Rule("premark", "meta mark set"))
        },
    );
    table.check(
        "DNAT: the target's own connections leave by its SNAT",
        |t, check, port| {
            check
                .send(Host::Web2, udp(t.at(Host::Web2, port), t.at(Host::Far, 53)))
                .arrives(
                    Host::Far,
                    udp(t.eip_at(Eip::Own, port), t.at(Host::Far, 53)),
                )
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
            let (inside, outside) = (t.at(from, port), t.at(to, 53));
            check
                .send(from, udp(inside, outside))
                .arrives(to, udp(t.eip_at(eip, port), outside))
                .send(to, udp(outside, t.eip_at(eip, port)))
                .arrives(from, udp(outside, inside))
                .notices(Damage::Set(map))
                .notices(Damage::Rule("inward", "ct direction reply accept"))
                .notices(Damage::Route(
                    "90",
                    match t.family {
                        crate::plan::Family::V4 => "10.244.0.0/16",
                        crate::plan::Family::V6 => "fd00:10:244::/64",
                    },
                ))
        });
    }
    table.check("SNAT: a connection and its answer", |t, check, port| {
        let (inside, eip, far) = (
            t.at(Host::Inner, port),
            t.eip_at(Eip::Source, port),
            t.at(Host::Far, 443),
        );
        check
            .send(Host::Inner, segment(inside, far, SYN, (1, 0)))
            .arrives(Host::Far, segment(eip, far, SYN, (1, 0)))
            .send(Host::Far, segment(far, eip, SYN | ACK, (5, 2)))
            .arrives(Host::Inner, segment(far, inside, SYN | ACK, (5, 2)))
            .notices(Damage::Set("snat{n}_{s}"))
            .notices(Damage::Route("101", "default"))
            .notices(Damage::Set("snat{n}_{s}_mark"))
    });
    table.check(
        "SNAT: a segment amid a connection that nobody knows any more leaves with the EIP",
        |t, check, port| {
            check
                .send(
                    Host::Inner,
                    segment(
                        t.at(Host::Inner, port),
                        t.at(Host::Far, 443),
                        ACK,
                        (100, 200),
                    ),
                )
                .arrives(
                    Host::Far,
                    segment(
                        t.eip_at(Eip::Source, port),
                        t.at(Host::Far, 443),
                        ACK,
                        (100, 200),
                    ),
                )
                .notices(Damage::Set("snat{n}_{s}"))
        },
    );
    table.check(
        "SNAT: the answer to a connection that nobody knows any more is not refused",
        |t, check, port| {
            check
                .send(
                    Host::Far,
                    segment(
                        t.at(Host::Far, 443),
                        t.eip_at(Eip::Source, port),
                        ACK,
                        (100, 200),
                    ),
                )
                .notices(Damage::Open("guarded"))
        },
    );
    table.check(
        "SNAT: two hosts with one port each have their own answers",
        |t, check, port| {
            let far = t.at(Host::Far, 53);
            check
                .send(Host::Inner, udp(t.at(Host::Inner, port), far))
                .arrives(Host::Far, udp(t.eip_at(Eip::Source, port), far))
                .send(Host::Web2, udp(t.at(Host::Web2, port), far))
                .arrives(Host::Far, udp(t.eip_at(Eip::Own, port), far))
                .send(Host::Far, udp(far, t.eip_at(Eip::Own, port)))
                .arrives(Host::Web2, udp(far, t.at(Host::Web2, port)))
                .send(Host::Far, udp(far, t.eip_at(Eip::Source, port)))
                .arrives(Host::Inner, udp(far, t.at(Host::Inner, port)))
                .notices(Damage::Set("snat{n}_{o}"))
        },
    );
}

fn echoes(table: &mut Table) {
    table.check(
        "ping: an EIP with a FIP is answered by the inside host",
        |t, check, id| {
            let (client, eip, web) = (t.host(Host::Client), t.eip(Eip::Fip), t.host(Host::Web));
            check
                .send(Host::Client, echo(client, eip, false, id))
                .arrives(Host::Web, echo(client, web, false, id))
                .send(Host::Web, echo(web, client, true, id))
                .arrives(Host::Client, echo(eip, client, true, id))
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
            let (far, eip) = (t.host(Host::Far), t.eip(eip));
            check
                .send(Host::Far, echo(far, eip, false, id))
                .arrives(Host::Far, echo(eip, far, true, id))
                .notices(Damage::Rule("guarded", "echo-request accept"))
                .notices(Damage::All(vec![
                    Damage::Rule("outroute", "direction reply meta mark set ct mark"),
                    Damage::Route("101", "default"),
                ]))
        });
    }
    table.check("ping: an inside host behind SNAT", |t, check, id| {
        let (inner, eip, far) = (t.host(Host::Inner), t.eip(Eip::Source), t.host(Host::Far));
        check
            .send(Host::Inner, echo(inner, far, false, id))
            .arrives(Host::Far, echo(eip, far, false, id))
            .send(Host::Far, echo(far, eip, true, id))
            .arrives(Host::Inner, echo(far, inner, true, id))
            .notices(Damage::Set("snat{n}_{s}"))
    });
}
