//! What passes before, while and after something happens to the gateway.

use super::Table;
use crate::act::Act;
use crate::check::udp;
use crate::damage::Damage;
use crate::packet::IcmpError;
use crate::packet::tcp::ACK;
use crate::plan::{Eip, Family, Host, Own, Segment};

/// The port of flows that must not begin.
const CLOSED: u16 = 54;

pub(super) fn add(table: &mut Table) {
    uplink(table);
    flows(table);
    rival(table);
}

fn uplink(table: &mut Table) {
    table.check(
        "change: while the uplink is down inside hosts are told, and when it is up all passes",
        |t, check, port| {
            let outward = t.outward((Host::Quiet, port), Eip::Source, (Host::Far, 53));
            let packet = udp(outward.sent.0, outward.sent.1);
            check
                .datagrams(&outward)
                .does(Act::Down(Segment::Outside))
                .told(Host::Quiet, packet, t.own(Own::Lan), IcmpError::Unreachable)
                .does(Act::Up(Segment::Outside))
                .datagrams(&t.inward((Host::Far, port), (Eip::Fip, 53), (Host::Web, 53)))
                .datagrams(&outward)
                .notices(Damage::Idle)
                .notices(Damage::All(vec![
                    Damage::Route("101", "unreachable default"),
                    Damage::RoutingRule("iif lan0 lookup 90"),
                ]))
        },
    );
    table.check(
        "change: all passes when the uplink's last own address is gone",
        |t, check, port| {
            let lost = match t.family {
                // With the last IPv4 address the routes go.
                Family::V4 => Damage::Idle,
                Family::V6 => Damage::Set("snat{n}_{s}"),
            };
            check
                .does(Act::LoseAddresses(Segment::Outside))
                .datagrams(&t.inward((Host::Client, port), (Eip::Fip, 53), (Host::Web, 53)))
                .datagrams(&t.inward((Host::Far, port), (Eip::Ports, 53), (Host::Web2, 53)))
                .datagrams(&t.outward((Host::Inner, port), Eip::Source, (Host::Far, 53)))
                .notices(lost)
                .notices(Damage::Set("fipin{n}"))
        },
    );
}

/// Connections outlive the kernel's memory of them where nothing else would be wrong.
fn flows(table: &mut Table) {
    let loose = || Damage::Setting("netfilter/nf_conntrack_tcp_loose", "0", "1");
    for (name, eip, outer, host, inner) in [
        (
            "change: a connection to a FIP goes on when its flow is forgotten",
            Eip::Fip,
            443,
            Host::Web,
            443,
        ),
        (
            "change: a connection to a DNAT goes on when its flow is forgotten",
            Eip::Ports,
            8_080,
            Host::Web2,
            80,
        ),
    ] {
        table.check(name, |t, check, port| {
            let flow = t.inward((Host::Far, port), (eip, outer), (host, inner));
            check
                .opening(&flow)
                .does(Act::ForgetFlows)
                .segment(&flow, ACK, (2, 6))
                .segment(&flow.back(), ACK, (6, 2))
                .notices(loose())
        });
    }
    for (name, host, eip) in [
        (
            "change: a connection of a FIP's host goes on when its flow is forgotten",
            Host::Web,
            Eip::Fip,
        ),
        (
            "change: a connection by SNAT goes on when its flow is forgotten",
            Host::Inner,
            Eip::Source,
        ),
    ] {
        table.check(name, |t, check, port| {
            let flow = t.outward((host, port), eip, (Host::Far, 443));
            check
                .opening(&flow)
                .does(Act::ForgetFlows)
                .segment(&flow, ACK, (2, 6))
                .segment(&flow.back(), ACK, (6, 2))
                .notices(loose())
        });
    }
    table.check(
        "change: with no room for flows those that are there go on, and no new one passes",
        |t, check, port| {
            let far = (Host::Far, 443);
            let old = t.outward((Host::Inner, port), Eip::Source, far);
            let new = t.outward((Host::Inner, port), Eip::Source, (Host::Far, CLOSED));
            let inward = t.inward((Host::Far, port), (Eip::Fip, CLOSED), (Host::Web, CLOSED));
            check
                .opening(&old)
                .segment(&old, ACK, (2, 6))
                .does(Act::FillFlows)
                .segment(&old, ACK, (2, 6))
                .segment(&old.back(), ACK, (6, 2))
                .send(new.from, udp(new.sent.0, new.sent.1))
                .send(inward.from, udp(inward.sent.0, inward.sent.1))
                // Those before it would have arrived by now.
                .segment(&old, ACK, (2, 6))
                .notices(Damage::All(vec![
                    Damage::Untracked(CLOSED),
                    Damage::Open("forward"),
                    Damage::Open("leak"),
                    Damage::Detour(101),
                ]))
        },
    );
}

/// Another host says that it has an EIP, before the gateway is there and after.
fn rival(table: &mut Table) {
    table.check(
        "change: a rival's claim to an EIP is undone by the gateway's, and later ones change nothing",
        |t, check, port| {
            let eip = t.eip(Eip::Fip);
            let inward = t.inward((Host::Client, port), (Eip::Fip, 53), (Host::Web, 53));
            check
                .claims(Host::Rival, eip)
                .does(Act::Down(Segment::Outside))
                .does(Act::Up(Segment::Outside))
                .announced(Host::Client, eip)
                .datagrams(&inward)
                .claims(Host::Rival, eip)
                .asks(Host::Client, eip, true)
                .datagrams(&inward)
                .datagrams(&t.outward((Host::Web, port), Eip::Fip, (Host::Far, 53)))
                .notices(Damage::Idle)
        },
    );
}
