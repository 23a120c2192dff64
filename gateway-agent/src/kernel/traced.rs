//! The packet checks on the compiled rule set and routes, without a kernel: the same table as
//! `tests/kernel_packets.rs`, and the same damage.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use packet_checks::check::Check;
use packet_checks::plan::{Family, Host, Own, Segment, Setup, entries};
use packet_checks::table::checks;
use packet_checks::trace::{self, Model, is_damage_traced, is_traced};
use serde_json::json;
use sluice_core::entry::Entry;
use sluice_core::identity::{Revision, Uid};

use super::report::{KernelOptions, Stamp};
use super::routing::routing;
use super::rtnl::{Hop, Link};
use super::ruleset::build;
use super::settings::Settings;

/// `RT_TABLE_MAIN`.
const MAIN: u32 = 254;

fn settings(setup: Setup) -> Settings {
    let mut uplinks: Vec<(&str, &str, Vec<serde_json::Value>)> = Vec::new();
    for one in Family::BOTH
        .iter()
        .flat_map(|family| setup.uplinks(*family))
    {
        let subnet = json!({"cidr": one.subnet, "gateway": one.next_hop});
        match uplinks.iter_mut().find(|known| known.0 == one.name) {
            Some(known) => known.2.push(subnet),
            None => uplinks.push((one.name, one.segment.interface(), vec![subnet])),
        }
    }
    let uplink = |(name, interface, subnets): &(_, _, _)| json!({"name": name, "interface": interface, "subnets": subnets});
    let lan: Vec<&str> = Family::BOTH
        .iter()
        .flat_map(|family| setup.lan(*family))
        .copied()
        .collect();
    let all = json!({
        "lan": {"interface": Segment::Inside.interface(), "addresses": lan},
        "uplinks": uplinks.iter().map(uplink).collect::<Vec<_>>(),
        "pingEIPs": true,
    });
    Settings::parse(&serde_json::from_value(all).unwrap()).unwrap()
}

/// What the agent gives the kernel for the checks' gateway, and what the kernel has besides:
/// the main table and the gateway's own addresses.
fn model(setup: Setup) -> Model {
    let settings = settings(setup);
    let lines = Family::BOTH.iter().flat_map(|f| entries(setup, *f));
    let entries: Vec<Entry> = lines.map(|line| line.parse().unwrap()).collect();
    let options = KernelOptions {
        pod_addresses: Family::BOTH.map(|f| Own::Pod.address(f)).to_vec(),
        ..KernelOptions::default()
    };
    let stamp = Stamp {
        revision: Revision {
            uid: Uid::new("6f1c2f0e-3d5b-4d0c-9a51-c0ffee000001"),
            generation: 1,
        },
        digest: "d".repeat(64),
        holding: true,
    };
    let entries: Vec<&Entry> = entries.iter().collect();
    let built = build(&settings, &entries, &options, &stamp, &BTreeMap::new());
    assert!(built.rejected.is_empty(), "{:?}", built.rejected);
    let links: Vec<Link> = (1..)
        .zip(setup.segments())
        .map(|(index, segment)| Link::plain(index, segment.interface(), true))
        .collect();
    let name = |index: u32| links.iter().find(|link| link.index == index).unwrap();
    let name = |index: u32| name(index).name.clone();
    let routing = routing(&settings, &built.addresses, &links, &[], true);

    let inet = (*built.ruleset.inet).clone();
    let mut model = Model::new(inet, (*built.ruleset.arp).clone());
    let mut rules: Vec<_> = routing.rules.iter().collect();
    rules.sort_by_key(|rule| rule.priority);
    model.rules = rules
        .into_iter()
        .map(|rule| trace::Rule {
            v4: rule.v4,
            interface: rule.interface.clone(),
            mark: rule.mark,
            from: rule.from,
            table: rule.table,
        })
        .collect();
    for route in &routing.routes {
        let hop = match &route.hop {
            Hop::Local => continue,
            Hop::Unreachable => trace::Hop::Unreachable,
            Hop::Link { device, via, .. } => trace::Hop::Link(name(*device), *via),
        };
        let (table, to) = (route.table, route.to);
        model.routes.push(trace::Route { table, to, hop });
    }
    model.local = routing.local.iter().map(|route| route.to.addr()).collect();
    let proxies = routing.proxies.iter();
    model.proxies = proxies
        .map(|proxy| (IpAddr::from(proxy.address), name(proxy.device)))
        .collect();
    let next_hops = routing.next_hops.iter();
    model.own = next_hops
        .map(|(device, next_hop)| (next_hop.addr(), name(*device)))
        .collect();
    for family in Family::BOTH {
        own_addresses(&mut model, setup, family);
    }
    model
}

/// The pod's own addresses, their subnets in the main table, and its default route.
fn own_addresses(model: &mut Model, setup: Setup, family: Family) {
    let length = if family == Family::V4 { 24 } else { 64 };
    let mut route = |to: IpNet, interface: &str, via| {
        let hop = trace::Hop::Link(interface.to_owned(), via);
        let table = MAIN;
        model.routes.push(trace::Route { table, to, hop });
    };
    for (own, segment) in [
        (Own::Uplink, Segment::Outside),
        (Own::Second, Segment::Second),
        (Own::Pod, Segment::Pods),
    ] {
        if setup.segments().contains(&segment) {
            let (address, interface) = (own.address(family), segment.interface());
            model.own.push((address, interface.to_owned()));
            let subnet = IpNet::new(address, length).unwrap().trunc();
            route(subnet, interface, None);
        }
    }
    let node = Host::Node.address(family);
    let everything = if family == Family::V4 {
        "0.0.0.0/0"
    } else {
        "::/0"
    };
    let pods = Segment::Pods.interface();
    route(everything.parse().unwrap(), pods, Some(node));
}

/// The checks of a gateway that a rule set decides.
fn traced(family: Family, setup: Setup) -> impl Iterator<Item = Check> {
    let wanted = move |check: &Check| check.setup == setup && is_traced(check);
    checks(family).into_iter().filter(wanted)
}

#[test]
fn the_rule_set_does_with_each_packet_what_the_kernel_does() {
    let mut counts = Vec::new();
    let mut wrong = Vec::new();
    for family in Family::BOTH {
        let mut count = 0;
        for setup in Setup::ALL {
            let whole = model(setup);
            for check in traced(family, setup) {
                count += 1;
                // Each check has flows of its own, as on a kernel.
                if let Err(why) = whole.clone().run(&check) {
                    wrong.push(format!("{family:?} {}: {why}", check.name));
                }
            }
        }
        counts.push((count, checks(family).len()));
    }
    println!("traced of all, per family: {counts:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // All but what is not for a rule set: `packet_checks::trace` says what that is.
    for (traced, all) in counts {
        assert!(all - traced <= NOT_TRACED, "{traced} of {all}");
    }
}

/// How many checks of a family no rule set decides.
const NOT_TRACED: usize = 6;

#[test]
fn the_rule_set_shows_each_damage_that_the_kernel_shows() {
    let (mut seen, mut left) = (0, 0);
    let mut wrong = Vec::new();
    for family in Family::BOTH {
        for setup in Setup::ALL {
            let whole = model(setup);
            for check in traced(family, setup) {
                for damage in &check.notices {
                    if !is_damage_traced(damage) {
                        left += 1;
                        continue;
                    }
                    let mut damaged = whole.clone();
                    if let Err(why) = damaged.damage(damage, family) {
                        wrong.push(format!("{family:?} {damage:?}: {why}"));
                        continue;
                    }
                    match damaged.run(&check) {
                        Ok(()) => wrong.push(format!(
                            "{family:?} {damage:?} is not noticed by: {}",
                            check.name
                        )),
                        // A rule that the tracer does not know shows nothing.
                        Err(why) => {
                            assert!(!why.contains("tracer"), "{}: {why}", check.name);
                            seen += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{seen} failures seen, {left} damages not traced");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(left <= 4, "{left} damages are not traced");
}
