//! One line about one flow.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use nfnetlink::conntrack::{Flow, FlowChange, FlowEvent, L4, Tuple};
use serde::Serialize;
use sluice_core::identity::Uid;
use sluice_core::ports::protocol;

use crate::kernel::ruleset::{FROM_INSIDE, FROM_OUTSIDE, ORIGIN_MASK};

/// UIDs of the EIPs that have the addresses.
pub type Owners = BTreeMap<IpAddr, Uid>;

/// Who began a flow, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// From inside to outside.
    Out,
    /// From outside to inside.
    In,
    /// From inside to inside, by an EIP.
    Hairpin,
}

#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    event: &'static str,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<Timestamp>,
    gateway: &'a str,
    direction: Direction,
    family: &'static str,
    protocol: String,
    inside_address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    inside_port: Option<u16>,
    eip_address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    eip_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eip_uid: Option<&'a str>,
    peer_address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_port: Option<u16>,
    /// With what the peer of a hairpin shows at the inside host.
    #[serde(skip_serializing_if = "Option::is_none")]
    shown_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shown_port: Option<u16>,
    id: u32,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    counters: Option<Counters>,
}

#[derive(Serialize)]
struct Counters {
    out_packets: u64,
    out_bytes: u64,
    in_packets: u64,
    in_bytes: u64,
}

/// The line about a flow that began or ended; `None` for one that is not translated.
/// `started` is when it began, if that is known.
pub fn line(
    gateway: &str,
    owners: &Owners,
    event: &FlowEvent,
    time: Timestamp,
    started: Option<Timestamp>,
) -> Option<String> {
    let (flow, event) = match event.change {
        FlowChange::New => (&event.flow, "start"),
        FlowChange::Destroy => (&event.flow, "end"),
        FlowChange::Update => return None,
    };
    let ends = Ends::of(flow)?;
    let [inside, eip, peer] = [ends.inside, ends.eip, ends.peer];
    let line = Line {
        kind: "flow",
        event,
        time,
        started,
        gateway,
        direction: ends.direction,
        family: if eip.0.is_ipv4() { "ipv4" } else { "ipv6" },
        protocol: match flow.orig.proto {
            1 => "icmp".to_owned(),
            58 => "icmpv6".to_owned(),
            number => protocol(number),
        },
        inside_address: inside.0,
        inside_port: inside.1,
        eip_address: eip.0,
        eip_port: eip.1,
        eip_uid: owners.get(&eip.0).map(Uid::as_str),
        peer_address: peer.0,
        peer_port: peer.1,
        shown_address: ends.shown.map(|shown| shown.0),
        shown_port: ends.shown.and_then(|shown| shown.1),
        id: flow.id,
        counters: counters(flow, ends.direction),
    };
    let text = serde_json::to_string(&line).ok()?;
    Some(text + "\n")
}

/// An address with a port, or the identifier of echoes.
type End = (IpAddr, Option<u16>);

struct Ends {
    direction: Direction,
    inside: End,
    eip: End,
    peer: End,
    shown: Option<End>,
}

impl Ends {
    /// By where the flow began, which its mark tells; `None` where nothing is translated.
    fn of(flow: &Flow) -> Option<Self> {
        let (orig, reply) = (&flow.orig, &flow.reply);
        let to_eip = destination(orig) != source(reply);
        let from_eip = source(orig) != destination(reply);
        match flow.mark & ORIGIN_MASK {
            FROM_OUTSIDE if to_eip => Some(Self {
                direction: Direction::In,
                inside: source(reply),
                eip: destination(orig),
                peer: source(orig),
                shown: None,
            }),
            FROM_INSIDE if to_eip => Some(Self {
                direction: Direction::Hairpin,
                inside: source(reply),
                eip: destination(orig),
                peer: source(orig),
                shown: Some(destination(reply)),
            }),
            FROM_INSIDE if from_eip => Some(Self {
                direction: Direction::Out,
                inside: source(orig),
                eip: destination(reply),
                peer: destination(orig),
                shown: None,
            }),
            _ => None,
        }
    }
}

fn source(tuple: &Tuple) -> End {
    let port = match tuple.l4 {
        L4::Ports { src, .. } => Some(src),
        L4::Icmp { id, .. } => Some(id),
        L4::None => None,
    };
    (tuple.src, port)
}

fn destination(tuple: &Tuple) -> End {
    let port = match tuple.l4 {
        L4::Ports { dst, .. } => Some(dst),
        L4::Icmp { id, .. } => Some(id),
        L4::None => None,
    };
    (tuple.dst, port)
}

/// As the inside host sees the directions; of one that began outside, the original one comes in.
fn counters(flow: &Flow, direction: Direction) -> Option<Counters> {
    let (orig, reply) = (flow.orig_counters?, flow.reply_counters?);
    let (out, back) = match direction {
        Direction::Out => (orig, reply),
        Direction::In | Direction::Hairpin => (reply, orig),
    };
    Some(Counters {
        out_packets: out.packets,
        out_bytes: out.bytes,
        in_packets: back.packets,
        in_bytes: back.bytes,
    })
}
