//! The chains: the same for every gateway with these interfaces, whatever its entries.
//!
//! A packet's way: `silence_in` (neighbour discovery) → `premark` (which uplink) → `dstnat` →
//! `hairmark` (inside to inside) → `input` or `forward` → `srcnat` → `shape` → `leak`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use nfnetlink::nftables::expr::ct_state;
use nfnetlink::nftables::{BaseChain, Chain, ChainKind, Family, Hook, Policy, Rule, TableContent};

use super::statement::{End, Ip, SourceKey, Way, rule};
use super::{
    FORWARD_MAPS, FROM_INSIDE, FROM_OUTSIDE, LAN_MARK, ORIGIN_MASK, Ruleset, SHAPE_IN, SHAPE_OUT,
    UPLINK_MASK, empty, forward_map, quota, segments,
};
use crate::kernel::report::KernelOptions;
use crate::kernel::settings::Settings;

/// `NF_IP_PRI_RAW - 50`: before conntrack.
const BEFORE_CONNTRACK: i32 = -350;
/// `NF_IP_PRI_MANGLE`, `NF_IP_PRI_NAT_DST`, `NF_IP_PRI_FILTER`, `NF_IP_PRI_NAT_SRC`.
pub const MANGLE: i32 = -150;
const DSTNAT: i32 = -100;
const FILTER: i32 = 0;
const SRCNAT: i32 = 100;
/// After translation.
const SHAPE: i32 = 200;
/// After every other hook.
const LAST: i32 = 300;

/// ICMP types (RFC 792) and ICMPv6 types (RFC 4443, RFC 4861).
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST6: u8 = 128;
const NEIGHBOR_SOLICIT: u8 = 135;
const NEIGHBOR_ADVERT: u8 = 136;
const REDIRECT6: u8 = 137;
/// Errors: unreachable, time exceeded, parameter problem; and in IPv6 packet too big.
pub const ERRORS4: [u8; 3] = [3, 11, 12];
pub const ERRORS6: [u8; 4] = [1, 2, 3, 4];
/// Neighbour solicitations and advertisements, and the queries of MLD.
pub const NEIGHBOUR6: [u8; 3] = [130, NEIGHBOR_SOLICIT, NEIGHBOR_ADVERT];

/// A map of sources: its name and how it is looked up; longest prefix first.
pub struct SourceMap {
    pub ip: Ip,
    /// Length of the prefixes.
    pub len: u8,
    /// The limits that some of the sources have.
    pub limits: BTreeSet<u16>,
    pub key: SourceKey,
    /// Source to EIP.
    pub snat: String,
    /// Source to mark.
    pub mark: String,
}

fn chain(name: &str, kind: ChainKind, hook: Hook, priority: i32, policy: Policy) -> Chain {
    Chain {
        name: name.to_owned(),
        base: Some(BaseChain {
            kind,
            hook,
            priority,
            policy,
            devices: std::collections::BTreeSet::new(),
        }),
        userdata: Vec::new(),
    }
}

fn filter(name: &str, hook: Hook, priority: i32, policy: Policy) -> Chain {
    chain(name, ChainKind::Filter, hook, priority, policy)
}

/// Puts the chains into the table `inet`.
pub fn inet(
    table: &mut TableContent,
    settings: &Settings,
    options: &KernelOptions,
    sources: &[SourceMap],
) {
    let lan = settings.lan.as_str();
    let dstnat: Vec<Rule> = Ip::BOTH
        .into_iter()
        .flat_map(|ip| dstnat(ip, table))
        .collect();
    silence(table);
    premark(table, settings, sources);
    table.chain(
        chain(
            "dstnat",
            ChainKind::Nat,
            Hook::Prerouting,
            DSTNAT,
            Policy::Accept,
        ),
        dstnat,
    );
    table.chain(
        filter("hairmark", Hook::Prerouting, DSTNAT + 1, Policy::Accept),
        [
            rule()
                .interface(Way::In, lan)
                .ct_state(ct_state::NEW)
                .ct_status_dnat()
                .set_ct_mark(FROM_INSIDE | LAN_MARK)
                .done(),
            rule()
                .interface(Way::In, lan)
                .ct_state(ct_state::NEW)
                .ct_status_dnat()
                .set_mark(LAN_MARK)
                .done(),
        ],
    );
    input(table, settings, options);
    segments::chains(table, settings);
    forward(table, sources);
    quota::chains(table, sources);
    outroute(table, settings, options);
    srcnat(table, settings, options, sources);
    shape(table, lan);
    leak(table, lan);
}

fn silence(table: &mut TableContent) {
    table.chain(
        filter(
            "silence_in",
            Hook::Prerouting,
            BEFORE_CONNTRACK,
            Policy::Accept,
        ),
        [rule()
            .nd_target_elsewhere(NEIGHBOR_SOLICIT, Way::In, "held6", "answers6")
            .drop()],
    );
    table.chain(
        filter(
            "silence_out",
            Hook::Output,
            BEFORE_CONNTRACK,
            Policy::Accept,
        ),
        [
            rule()
                .nd_target_elsewhere(NEIGHBOR_ADVERT, Way::Out, "held6", "answers6")
                .drop(),
            // Redirects name inside addresses when a flow goes back the way it came.
            rule().icmp_type(Ip::V6, REDIRECT6).drop(),
            rule().icmp_type(Ip::V4, REDIRECT).drop(),
        ],
    );
}

fn premark(table: &mut TableContent, settings: &Settings, sources: &[SourceMap]) {
    let lan = settings.lan.as_str();
    table.chain(
        filter("premark", Hook::Prerouting, MANGLE, Policy::Accept),
        [
            // Before routing: an error about it would belong to no flow, and leave by the
            // main table.
            rule()
                .interface_in(Way::In, "guarded")
                .ct_state(ct_state::INVALID)
                .drop(),
            rule().ct_state(ct_state::NEW).jump("setup"),
            rule()
                .interface(Way::In, lan)
                .set_mark_from_ct(UPLINK_MASK)
                .done(),
        ],
    );
    let mut setup: Vec<Rule> = settings
        .uplinks
        .iter()
        .map(|uplink| {
            rule()
                .interface(Way::In, &uplink.interface)
                .set_ct_mark(FROM_OUTSIDE | u32::from(uplink.number))
                .returns()
        })
        .collect();
    setup.push(rule().not_interface(Way::In, lan).returns());
    setup.push(rule().set_ct_mark(FROM_INSIDE).done());
    setup.push(rule().jump("inside"));
    for ip in Ip::BOTH {
        setup.push(
            rule()
                .set_ct_mark_by_source(ip, &SourceKey::WHOLE, &ip.name("fipmark"))
                .returns(),
        );
    }
    for map in sources {
        setup.push(
            rule()
                .set_ct_mark_by_source(map.ip, &map.key, &map.mark)
                .returns(),
        );
    }
    table.chain(Chain::regular("setup"), setup);
    table.chain(Chain::regular("inside"), inside(settings));
}

/// What inside hosts send to inside prefixes stays inside, where only what a rule translated
/// passes. The longest prefix wins: an outside subnet may lie in an inside prefix.
fn inside(settings: &Settings) -> Vec<Rule> {
    let inside = settings.inside_prefixes();
    let outside = settings.uplinks.iter().flat_map(|uplink| &uplink.subnets);
    let outside = outside
        .map(|(subnet, _)| *subnet)
        .filter(|subnet| inside.iter().any(|prefix| prefix.contains(subnet)));
    let mut all: BTreeMap<_, _> = outside
        .map(|subnet| (longest_first(subnet), false))
        .collect();
    for prefix in &inside {
        all.entry(longest_first(*prefix)).or_insert(true);
    }
    let way = |((_, prefix), inside)| {
        let rule = rule().destination_within(prefix);
        if inside {
            rule.set_ct_mark(FROM_INSIDE | LAN_MARK)
                .set_mark(LAN_MARK)
                .accept()
        } else {
            rule.returns()
        }
    };
    all.into_iter().map(way).collect()
}

fn longest_first(prefix: IpNet) -> (Reverse<u8>, IpNet) {
    (Reverse(prefix.prefix_len()), prefix)
}

/// FIPs, then ports by whatever maps there are.
fn dstnat(ip: Ip, table: &TableContent) -> Vec<Rule> {
    let mut rules = vec![rule().dnat_by_address(ip, &ip.name("fipin")).done()];
    for (form, shared) in FORWARD_MAPS {
        let map = ip.name(forward_map(form, shared));
        if table.sets.contains_key(&map) {
            rules.push(rule().dnat_by_port(ip, form, shared, &map).done());
        }
    }
    rules
}

fn input(table: &mut TableContent, settings: &Settings, options: &KernelOptions) {
    let mut base = vec![rule().interface_in(Way::In, "guarded").jump("guarded")];
    for ip in Ip::BOTH {
        // An EIP is local here, but only its uplink and the LAN may speak to it.
        base.push(
            rule()
                .not_interface(Way::In, "lo")
                .address_in(ip, End::Destination, &ip.name("own"))
                .drop(),
        );
    }
    table.chain(filter("input", Hook::Input, FILTER, Policy::Accept), base);

    let mut guarded = vec![
        rule().icmp_type_in(Ip::V6, "neighbour6").accept(),
        rule().icmp_type(Ip::V6, REDIRECT6).drop(),
        rule().icmp_type(Ip::V4, REDIRECT).drop(),
        rule()
            .ct_state(ct_state::ESTABLISHED | ct_state::RELATED)
            .accept(),
        rule().ct_state(ct_state::INVALID).drop(),
    ];
    if !settings.ping_eips {
        for (ip, kind) in [(Ip::V4, ECHO_REQUEST), (Ip::V6, ECHO_REQUEST6)] {
            guarded.push(
                rule()
                    .icmp_type(ip, kind)
                    .address_in(ip, End::Destination, &ip.name("own"))
                    .drop(),
            );
        }
    }
    guarded.extend([
        rule().icmp_type(Ip::V4, ECHO_REQUEST).accept(),
        rule().icmp_type(Ip::V6, ECHO_REQUEST6).accept(),
        rule().icmp_type_in(Ip::V4, "errors4").accept(),
        rule().icmp_type_in(Ip::V6, "errors6").accept(),
    ]);
    if settings.lan == options.pod_interface {
        // The LAN is also the agent's own interface: what is for the pod itself passes.
        for ip in Ip::BOTH {
            guarded.push(
                rule()
                    .interface(Way::In, &settings.lan)
                    .address_in(ip, End::Destination, &ip.name("pod"))
                    .accept(),
            );
        }
    }
    guarded.push(rule().drop());
    table.chain(Chain::regular("guarded"), guarded);
}

fn forward(table: &mut TableContent, sources: &[SourceMap]) {
    let mut rules = vec![
        rule()
            .ct_state(ct_state::INVALID | ct_state::UNTRACKED)
            .drop(),
    ];
    rules.extend(quota::rules(sources));
    rules.push(rule().path_vmap("paths").done());
    table.chain(
        filter("forward", Hook::Forward, FILTER, Policy::Drop),
        rules,
    );
    // Into the LAN goes only what was asked for from inside, or what a rule translated.
    table.chain(
        Chain::regular("inward"),
        [
            rule().ct_direction(true).accept(),
            rule().ct_status_dnat().accept(),
            rule().drop(),
        ],
    );
}

fn outroute(table: &mut TableContent, settings: &Settings, options: &KernelOptions) {
    let by_origin = |origin, reply| rule().ct_mark(ORIGIN_MASK, origin).ct_direction(reply);
    // What this host itself sends for a flow (ICMP errors, answers to ping) goes where the
    // flow's own packets of that direction go.
    let mut rules = vec![
        by_origin(FROM_OUTSIDE, true)
            .set_mark_from_ct(UPLINK_MASK)
            .done(),
        by_origin(FROM_OUTSIDE, false).set_mark(LAN_MARK).done(),
        by_origin(FROM_INSIDE, true).set_mark(LAN_MARK).done(),
        by_origin(FROM_INSIDE, false)
            .set_mark_from_ct(UPLINK_MASK)
            .done(),
    ];
    // An IPv4 error has whatever source the kernel finds, the pod's or one that an IPAM gave
    // the LAN's interface; inside hosts know their next hop, and the EIP that they asked.
    if let (true, Some(IpAddr::V4(next_hop))) = (
        settings.lan != options.pod_interface,
        hairpin_source(Ip::V4, settings, options),
    ) {
        let inward = || rule().mark(LAN_MARK).icmp_type_in(Ip::V4, "errors4");
        rules.push(
            inward()
                .address_in(Ip::V4, End::Source, &Ip::V4.name("own"))
                .accept(),
        );
        rules.push(inward().set_icmp_source(next_hop).done());
    }
    let outroute = chain(
        "outroute",
        ChainKind::Route,
        Hook::Output,
        MANGLE,
        Policy::Accept,
    );
    table.chain(outroute, rules);
}

fn srcnat(
    table: &mut TableContent,
    settings: &Settings,
    options: &KernelOptions,
    sources: &[SourceMap],
) {
    let lan = settings.lan.as_str();
    table.chain(
        chain(
            "srcnat",
            ChainKind::Nat,
            Hook::Postrouting,
            SRCNAT,
            Policy::Accept,
        ),
        [
            rule().not_interface(Way::In, lan).accept(),
            rule()
                .interface(Way::Out, lan)
                .ct_status_dnat()
                .jump("hairpin"),
            rule().interface_in(Way::Out, "uplinks").jump("source"),
        ],
    );
    let by_fip = |ip: Ip| {
        rule()
            .snat_by_source(ip, &SourceKey::WHOLE, &ip.name("fipout"))
            .done()
    };
    let mut hairpin = Vec::new();
    for ip in Ip::BOTH {
        hairpin.push(by_fip(ip));
        // Any other client shows the gateway's own address on the LAN, so that the answer
        // comes back here.
        hairpin.push(match hairpin_source(ip, settings, options) {
            Some(address) => rule().snat_to(ip, address).done(),
            None => rule().masquerade(ip).done(),
        });
    }
    table.chain(Chain::regular("hairpin"), hairpin);
    let mut source: Vec<Rule> = Ip::BOTH.into_iter().map(by_fip).collect();
    for map in sources {
        source.push(rule().snat_by_source(map.ip, &map.key, &map.snat).done());
    }
    table.chain(Chain::regular("source"), source);
}

/// What inside clients without a FIP show to inside servers that they reach by an EIP;
/// `None`: whatever address the LAN's interface has.
pub fn hairpin_source(ip: Ip, settings: &Settings, options: &KernelOptions) -> Option<IpAddr> {
    let of_family = |address: &IpAddr| address.is_ipv4() == (ip == Ip::V4);
    let mut next_hops = settings.lan_addresses.iter().map(ipnet::IpNet::addr);
    let pod = options.pod_addresses.iter().copied();
    if settings.lan == options.pod_interface {
        next_hops.chain(pod).find(of_family)
    } else {
        next_hops.find(of_family)
    }
}

/// Which class of traffic a packet belongs to, where there are any: on the way out by its
/// source, which is an EIP by now; on the way in by whom it was sent to, which only its flow
/// still knows.
fn shape(table: &mut TableContent, lan: &str) {
    let maps = |stem: &str| -> Vec<(Ip, String)> {
        let named = Ip::BOTH.map(|ip| (ip, ip.name(stem)));
        let is_there = |(_, name): &(Ip, String)| table.sets.contains_key(name);
        named.into_iter().filter(is_there).collect()
    };
    let (inward, outward) = (maps(SHAPE_IN), maps(SHAPE_OUT));
    let mut base = Vec::new();
    if !inward.is_empty() {
        // From inside to inside is not from outside.
        let mut rules = vec![rule().interface(Way::In, lan).returns()];
        for (ip, map) in &inward {
            for reply in [false, true] {
                rules.push(rule().set_class_by_sent_to(*ip, reply, map).done());
            }
        }
        table.chain(Chain::regular(SHAPE_IN), rules);
        base.push(rule().interface(Way::Out, lan).jump(SHAPE_IN));
    }
    if !outward.is_empty() {
        let rules = outward
            .iter()
            .map(|(ip, map)| rule().set_class_by_source(*ip, map).done());
        let rules: Vec<Rule> = rules.collect();
        table.chain(Chain::regular(SHAPE_OUT), rules);
        base.push(rule().interface_in(Way::Out, "uplinks").jump(SHAPE_OUT));
    }
    if !base.is_empty() {
        let shape = filter("shape", Hook::Postrouting, SHAPE, Policy::Accept);
        table.chain(shape, base);
    }
}

fn leak(table: &mut TableContent, lan: &str) {
    let mut rules = vec![
        rule().not_interface(Way::In, lan).accept(),
        rule().interface_not_in(Way::Out, "uplinks").accept(),
    ];
    for ip in Ip::BOTH {
        rules.push(rule().address_in(ip, End::Source, &ip.name("own")).accept());
    }
    rules.push(rule().drop());
    table.chain(
        filter("leak", Hook::Postrouting, LAST, Policy::Accept),
        rules,
    );
}

/// Puts the chains into the table `arp`.
pub fn arp(table: &mut TableContent) {
    table.chain(
        filter("input", Hook::Input, FILTER, Policy::Accept),
        [rule()
            .arp_request()
            .arp_elsewhere(Way::In, "held4", "answers4")
            .drop()],
    );
    table.chain(
        filter("output", Hook::Output, FILTER, Policy::Accept),
        [rule().arp_elsewhere(Way::Out, "held4", "answers4").drop()],
    );
}

/// The tables of an instance that has nothing to do yet, or nothing any more: nothing is
/// forwarded, and no interface but the pod's own answers for any address.
pub fn guard(options: &KernelOptions) -> Ruleset {
    let mut inet = empty(Family::Inet, options);
    inet.chain(filter("forward", Hook::Forward, FILTER, Policy::Drop), []);
    inet.chain(
        filter(
            "silence_in",
            Hook::Prerouting,
            BEFORE_CONNTRACK,
            Policy::Accept,
        ),
        [rule()
            .not_interface(Way::In, &options.pod_interface)
            .icmp_type(Ip::V6, NEIGHBOR_SOLICIT)
            .drop()],
    );
    let mut arp = empty(Family::Arp, options);
    arp.chain(
        filter("input", Hook::Input, FILTER, Policy::Accept),
        [rule()
            .not_interface(Way::In, &options.pod_interface)
            .arp_request()
            .drop()],
    );
    Ruleset {
        inet: inet.into(),
        arp: arp.into(),
    }
}
