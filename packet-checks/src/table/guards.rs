//! What must not pass.

use std::net::Ipv6Addr;

use super::Table;
use crate::check::{Flow, segment, udp};
use crate::damage::Damage;
use crate::packet::tcp::{ACK, FIN, SYN};
use crate::packet::{Body, ICMPV6, IcmpError, Packet, Shape};
use crate::plan::{Eip, Family, Host, Own};

/// What the agent listens on.
const AGENT: u16 = 9_808;
/// A port of the pod's that nobody listens on.
const CLOSED: u16 = 9;

pub(super) fn add(table: &mut Table) {
    from_inside(table);
    from_outside(table);
    if table.family == Family::V6 {
        discovery(table);
    }
}

fn from_inside(table: &mut Table) {
    table.check(
        "guard: a source that no SNAT covers is told so",
        |t, check, port| {
            let packet = udp(t.at(Host::Lone, port), t.at(Host::Far, 53));
            check
                .told(Host::Lone, packet, t.own(Own::Lan), IcmpError::Unreachable)
                .notices(Damage::RoutingRule("iif lan0 lookup 90"))
        },
    );
    table.check(
        "guard: an inside host's traffic to the pod network leaves by the uplink, translated",
        |t, check, port| {
            let way = t.outward((Host::Inner, port), Eip::Source, (Host::Node, 53));
            check
                .datagram(&Flow {
                    to: Host::Router,
                    ..way
                })
                .notices(Damage::Rule("premark", "meta mark set"))
                .notices(Damage::RoutingRule("fwmark 0x1/0xff iif lan0"))
        },
    );
    table.check(
        "guard: an inside host's traffic to the API server's address leaves by the uplink, translated",
        |t, check, port| {
            let way = t.outward((Host::Inner, port), Eip::Source, (Host::Api, 443));
            check
                .segment(
                    &Flow {
                        to: Host::Router,
                        ..way
                    },
                    SYN,
                    (1, 0),
                )
                .notices(Damage::Rule("premark", "meta mark set"))
                .notices(Damage::RoutingRule("fwmark 0x1/0xff iif lan0"))
        },
    );
    for (name, own) in [
        (
            "guard: the agent's port on the pod network is not for inside hosts",
            Own::Pod,
        ),
        ("guard: the agent's port on the LAN is silent", Own::Lan),
        (
            "guard: the agent's port on the uplink is not for inside hosts",
            Own::Uplink,
        ),
    ] {
        table.check(name, |t, check, port| {
            check
                .send(
                    Host::Web,
                    segment(t.at(Host::Web, port), (t.own(own), AGENT), SYN, (1, 0)),
                )
                .notices(Damage::Open("guarded"))
        });
    }
    table.check(
        "guard: the LAN's own address answers ping",
        |t, check, id| {
            check
                .pinged(Host::Inner, t.host(Host::Inner), t.own(Own::Lan), id)
                .notices(Damage::Rule("guarded", "echo-request accept"))
        },
    );
    table.check(
        "guard: inside hosts do not reach each other by the gateway",
        |t, check, port| {
            check
                .send(
                    Host::Inner,
                    udp(t.at(Host::Inner, port), t.at(Host::Web2, 53)),
                )
                .notices(Damage::Open("inward"))
        },
    );
    table.check(
        "guard: an inside host cannot send from an EIP",
        |t, check, port| {
            check
                .send(
                    Host::Inner,
                    udp(t.eip_at(Eip::Bare, port), t.at(Host::Far, 53)),
                )
                // What it may send does pass.
                .datagram(&t.outward((Host::Inner, port), Eip::Source, (Host::Far, 53)))
                .notices(Damage::Set("snat{n}_{s}"))
        },
    );
    table.check(
        "guard: a segment of no connection and with no sense does not leave",
        |t, check, port| {
            check
                .send(
                    Host::Inner,
                    segment(
                        t.at(Host::Inner, port),
                        t.at(Host::Far, 443),
                        SYN | FIN,
                        (1, 0),
                    ),
                )
                .notices(Damage::Rule("premark", "ct state invalid drop"))
        },
    );
}

fn from_outside(table: &mut Table) {
    for (name, host, eip) in [
        (
            "guard: an outside host that routes to an inside host by a FIP's EIP",
            Host::Web,
            Eip::Fip,
        ),
        (
            "guard: an outside host that routes to an inside host by an SNAT's EIP",
            Host::Inner,
            Eip::Source,
        ),
        (
            "guard: an outside host that routes to an inside host by an EIP without rules",
            Host::Stranger,
            Eip::Bare,
        ),
    ] {
        table.check(name, |t, check, port| {
            check
                .send_via(
                    Host::Client,
                    t.eip(eip),
                    udp(t.at(Host::Client, port), t.at(host, 53)),
                )
                .notices(Damage::Open("inward"))
        });
    }
    table.check(
        "guard: an answer that an outside host routes to the inside host itself",
        |t, check, port| {
            let flow = t.outward((Host::Inner, port), Eip::Source, (Host::Client, 443));
            let past = udp(flow.sent.1, flow.sent.0);
            check
                .datagram(&flow)
                .send_via(Host::Client, t.eip(Eip::Source), past)
                .datagram(&flow.back())
                .notices(Damage::Open("inward"))
        },
    );
    table.check(
        "guard: what an inside host answers to an outside host that routes to it",
        |t, check, port| {
            let (client, inner) = (t.at(Host::Client, port), t.at(Host::Inner, 443));
            let asked = segment(client, inner, SYN, (1, 0));
            check
                .send_via(Host::Client, t.eip(Eip::Source), asked)
                // Of no connection: it shows the EIP.
                .segment(
                    &t.outward((Host::Inner, 443), Eip::Source, (Host::Client, port)),
                    ACK,
                    (5, 2),
                )
                .notices(Damage::Set("snat{n}_{s}"))
                .notices(Damage::Open("inward"))
        },
    );
    for (name, to) in [
        ("guard: the agent's port on an EIP is silent", None),
        (
            "guard: the agent's port on the uplink is silent",
            Some(Own::Uplink),
        ),
    ] {
        table.check(name, |t, check, port| {
            let to = to.map_or(t.eip(Eip::Bare), |own| t.own(own));
            check
                .send(
                    Host::Client,
                    segment(t.at(Host::Client, port), (to, AGENT), SYN, (1, 0)),
                )
                .notices(Damage::Open("guarded"))
        });
    }
    for (name, own) in [
        (
            "guard: the agent's port on the pod network is not for outside hosts",
            Own::Pod,
        ),
        (
            "guard: the agent's port on the LAN is not for outside hosts",
            Own::Lan,
        ),
    ] {
        table.check(name, |t, check, port| {
            let (client, bare) = (t.host(Host::Client), t.eip(Eip::Bare));
            check
                // The gateway knows the client's MAC then.
                .pinged(Host::Client, client, bare, port)
                .send_via(
                    Host::Client,
                    t.eip(Eip::Bare),
                    segment(t.at(Host::Client, port), (t.own(own), AGENT), SYN, (1, 0)),
                )
                .notices(match own {
                    // An answer from there knows the way to the LAN only.
                    Own::Lan => Damage::All(vec![
                        Damage::Open("guarded"),
                        Damage::RoutingRule("from {l} iif lo"),
                    ]),
                    Own::Pod | Own::Uplink | Own::Second => Damage::Open("guarded"),
                })
        });
    }
    table.check(
        "guard: the pod network's node has no way to an EIP by the pod",
        |t, check, port| {
            check
                .send_via(
                    Host::Node,
                    t.own(Own::Pod),
                    segment(
                        t.at(Host::Node, port),
                        t.eip_at(Eip::Bare, AGENT),
                        SYN,
                        (1, 0),
                    ),
                )
                .notices(Damage::Rule("input", "{4} daddr @own{n} drop"))
        },
    );
}

/// An inside host that says it is a router does not become the agent's next hop.
fn advertised_router(table: &mut Table) {
    table.check(
        "guard: an inside host's router advertisement changes no way of the agent's",
        |t, check, port| {
            // A router for two seconds, to be preferred (RFC 4861 §4.2, RFC 4191 §2.2), with
            // its link-layer address.
            let mut data = vec![134, 0, 0, 0, 64, 0x08, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
            data.extend(Host::Inner.mac());
            let body = Body::Other {
                protocol: ICMPV6,
                data,
            };
            let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7).into();
            let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into();
            let advert = Packet::new(source, group, body).hops(255);
            let (api, pod) = (t.at(Host::Api, port), (t.own(Own::Pod), CLOSED));
            check
                .send_via(Host::Inner, group, advert)
                .told_via(pod.0, Host::Api, udp(api, pod), IcmpError::PortUnreachable)
                .notices(Damage::All(vec![
                    Damage::Setting("ipv6/conf/lan0/accept_ra", "2", "1"),
                    Damage::Open("guarded"),
                ]))
        },
    );
}

/// Neighbour discovery and multicast listener discovery with global addresses: conntrack
/// does not track them.
fn discovery(table: &mut Table) {
    for (name, kind) in [
        (
            "guard: a router solicitation to a global address does not leave",
            133,
        ),
        (
            "guard: a router advertisement to a global address does not leave",
            134,
        ),
        (
            "guard: a neighbour solicitation to a global address does not leave",
            135,
        ),
        (
            "guard: a neighbour advertisement to a global address does not leave",
            136,
        ),
        (
            "guard: a listener query to a global address does not leave",
            130,
        ),
        (
            "guard: a listener report to a global address does not leave",
            131,
        ),
        (
            "guard: a listener's end to a global address does not leave",
            132,
        ),
        (
            "guard: a listener report of version 2 to a global address does not leave",
            143,
        ),
    ] {
        table.check(name, |t, check, _| {
            let data = [&[kind, 0, 0, 0][..], &[0; 20]].concat();
            let body = Body::Other {
                protocol: ICMPV6,
                data,
            };
            let packet = Packet::new(t.host(Host::Web), t.host(Host::Far), body).hops(255);
            check
                .told(Host::Web, packet, t.own(Own::Lan), IcmpError::Unreachable)
                .notices(Damage::RoutingRule("iif lan0 lookup 90"))
        });
    }
    table.check(
        "guard: a neighbour advertisement behind options to a global address does not leave",
        |t, check, _| {
            let body = Body::Other {
                protocol: ICMPV6,
                data: [&[136, 0, 0, 0][..], &[0; 20]].concat(),
            };
            let packet = Packet::new(t.host(Host::Web), t.host(Host::Far), body);
            let packet = packet.hops(255).shaped(Shape::Options);
            check
                .told(Host::Web, packet, t.own(Own::Lan), IcmpError::Unreachable)
                .notices(Damage::RoutingRule("iif lan0 lookup 90"))
        },
    );
    advertised_router(table);
    table.check(
        "guard: a redirect to a global address is of no connection",
        |t, check, _| {
            let body = Body::Other {
                protocol: ICMPV6,
                data: [&[137, 0, 0, 0][..], &[0; 36]].concat(),
            };
            let packet = Packet::new(t.host(Host::Web), t.host(Host::Far), body).hops(255);
            check
                .send(Host::Web, packet)
                .notices(Damage::Rule("premark", "ct state invalid drop"))
        },
    );
}
