//! The largest TCP segment that two ends may agree on through the gateway.
//!
//! `Auto` goes by the interfaces' own MTUs, not by the kernel's `rt mtu`: that asks the main
//! table for the way back, where an uplink's routes do not stand.

use nfnetlink::nftables::{BaseChain, Chain, ChainKind, Hook, Policy, Rule, TableContent};
use sluice_crds::user::MssClamp;

use super::chains::MANGLE;
use super::statement::{Ip, Way, rule};
use crate::kernel::settings::Settings;

/// The chain that sees every packet that is forwarded, and the one for those that open a
/// connection.
const SYNS: &str = "syns";
const SEGMENTS: &str = "segments";

/// Bytes of the headers of IPv4 and of IPv6, and of TCP (RFC 6691).
const HEADERS4: u32 = 40;
const HEADERS6: u32 = 60;

/// Puts the chains into the table, where segments are to be clamped.
pub fn chains(table: &mut TableContent, settings: &Settings) {
    let Some(clamp) = settings.mss_clamp else {
        return;
    };
    let syns = Chain {
        name: SYNS.to_owned(),
        base: Some(BaseChain {
            kind: ChainKind::Filter,
            hook: Hook::Forward,
            priority: MANGLE,
            policy: Policy::Accept,
            devices: std::collections::BTreeSet::new(),
        }),
        userdata: Vec::new(),
    };
    table.chain(syns, [rule().tcp_syn().jump(SEGMENTS)]);
    let rules = match clamp {
        MssClamp::Bytes(bytes) => vec![rule().lower_mss(bytes).done()],
        MssClamp::Auto => by_mtu(settings),
    };
    table.chain(Chain::regular(SEGMENTS), rules);
}

/// What comes from an uplink or leaves by it passes the LAN, too.
fn by_mtu(settings: &Settings) -> Vec<Rule> {
    let lan = settings.mtus.get(&settings.lan);
    let mut rules = Vec::new();
    for uplink in &settings.uplinks {
        let here = settings.mtus.get(&uplink.interface);
        let Some(mtu) = here.into_iter().chain(lan).min() else {
            continue;
        };
        for (ip, headers) in [(Ip::V4, HEADERS4), (Ip::V6, HEADERS6)] {
            let bytes = u16::try_from(mtu.saturating_sub(headers)).unwrap_or(u16::MAX);
            for way in [Way::In, Way::Out] {
                rules.push(
                    rule()
                        .interface(way, &uplink.interface)
                        .family(ip)
                        .lower_mss(bytes)
                        .done(),
                );
            }
        }
    }
    rules
}
