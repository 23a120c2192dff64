//! What must not pass.

use super::Table;
use crate::check::{echo, error, segment, udp};
use crate::damage::Damage;
use crate::packet::tcp::{FIN, SYN};
use crate::packet::{Body, ICMPV6, IcmpError, Packet};
use crate::plan::{Eip, Family, Host, Own};

/// What the agent listens on.
const AGENT: u16 = 9_808;

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
                .send(Host::Lone, packet.clone())
                .arrives(
                    Host::Lone,
                    error(
                        t.own(Own::Lan),
                        t.host(Host::Lone),
                        IcmpError::Unreachable,
                        packet,
                    ),
                )
                .notices(Damage::RoutingRule("iif lan0 lookup 90"))
        },
    );
    table.check(
        "guard: an inside host's traffic to the pod network leaves by the uplink, translated",
        |t, check, port| {
            check
                .send(
                    Host::Inner,
                    udp(t.at(Host::Inner, port), t.at(Host::Node, 53)),
                )
                .arrives(
                    Host::Router,
                    udp(t.eip_at(Eip::Source, port), t.at(Host::Node, 53)),
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
            let (inner, own) = (t.host(Host::Inner), t.own(Own::Lan));
            check
                .send(Host::Inner, echo(inner, own, false, id))
                .arrives(Host::Inner, echo(own, inner, true, id))
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
                .send(
                    Host::Inner,
                    udp(t.at(Host::Inner, port), t.at(Host::Far, 53)),
                )
                .arrives(
                    Host::Far,
                    udp(t.eip_at(Eip::Source, port), t.at(Host::Far, 53)),
                )
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
                .send(Host::Client, echo(client, bare, false, port))
                .arrives(Host::Client, echo(bare, client, true, port))
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
                    Own::Pod | Own::Uplink => Damage::Open("guarded"),
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
            "guard: a listener report to a global address does not leave",
            131,
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
                .send(Host::Web, packet.clone())
                .arrives(
                    Host::Web,
                    error(
                        t.own(Own::Lan),
                        t.host(Host::Web),
                        IcmpError::Unreachable,
                        packet,
                    ),
                )
                .notices(Damage::RoutingRule("iif lan0 lookup 90"))
        });
    }
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
