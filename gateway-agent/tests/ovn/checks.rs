//! The table of packet checks on a real OVN network, of both families.

use std::collections::BTreeMap;

use packet_checks::check::{Check, Step};
use packet_checks::hosts::{Hosts, Link};
use packet_checks::plan::{Family, Segment, Setup, entries};
use packet_checks::run::{Gateway, Patience, run};
use packet_checks::table::checks;

use crate::lab::Lab;
use crate::rig::{Interface, in_ns};

/// Nothing is done to this gateway in the middle of a check.
struct Untouched;

impl Gateway for Untouched {
    fn script(&mut self, script: &str) -> Result<String, String> {
        Err(format!("not on an OVN network: {script}"))
    }

    fn mended(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// The checks that say something of a network whose router translates.
fn wanted(family: Family) -> Vec<Check> {
    let segments = [Segment::Outside, Segment::Inside];
    let text = std::env::var("PACKET_CHECK").unwrap_or_default();
    let mut all = checks(family);
    all.retain(|check| {
        let acts = check.steps.iter().any(|step| matches!(step, Step::Does(_)));
        check.setup == Setup::Usual && check.is_within(&segments, &[]) && !acts
    });
    all.retain(|check| check.name.contains(&text));
    all
}

/// Hosts without a kernel on the links of a host outside and of one inside.
fn hosts(lab: &Lab) -> Hosts {
    let mut links: BTreeMap<Segment, Box<dyn Link>> = BTreeMap::new();
    for (segment, name) in [(Segment::Outside, "client"), (Segment::Inside, "vm1")] {
        lab.network.run("bare", &[name]).expect("bare");
        let link = in_ns(&lab.host(name), || Interface::open("eth0"));
        let link = link.join().expect("a thread").expect("a link");
        links.insert(segment, Box::new(link));
    }
    // The port of many hosts, as one of a container that holds machines of its own.
    lab.nbctl("lsp-set-addresses vm1 unknown");
    Hosts::new(links)
}

#[test]
fn packet_checks_of_both_families_hold() {
    let lab = Lab::up();
    for (prefix, router) in [("0.0.0.0/0", "10.155.30.1"), ("::/0", "2001:db8:1::1")] {
        lab.nbctl(&format!("lr-route-add r1 {prefix} {router} r1-outside"));
    }
    let mut hosts = hosts(&lab);
    let mut plane = lab.plane("one");
    let lines: Vec<String> = Family::BOTH
        .into_iter()
        .flat_map(|family| entries(Setup::Usual, family))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(plane.hold(&lines).rejected, []);
    let (mut held, mut failed, mut other) = (0, Vec::new(), BTreeMap::new());
    for check in Family::BOTH.into_iter().flat_map(wanted) {
        let ran = run(&mut hosts, &mut Untouched, &check, Patience::WHOLE);
        let named = format!("{:?} {}", check.family, check.name);
        let known = OTHER_WAYS
            .iter()
            .find(|(name, _)| check.name.starts_with(name));
        match (ran, known) {
            (Ok(()), _) => held += 1,
            (Err(why), None) => failed.push(format!("{named}: {why}")),
            (Err(_), Some((name, what))) => other.entry(*name).or_insert((*what, 0)).1 += 1,
        }
    }
    println!("{held} checks held; otherwise: {other:#?}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(held >= 140, "{held} checks only");
    assert_eq!(other.len(), OTHER_WAYS.len(), "some hold by now");
}

/// Checks that fail here, by how their names begin, with what OVN does. All of them but those of
/// one family fail in both.
const OTHER_WAYS: [(&str, &str); 27] = [
    ("ping: an EIP without rules", NOBODY),
    ("ping: an EIP with DNAT", NO_ECHO),
    ("ping: an EIP with SNAT", NO_ECHO),
    ("hairpin: a client without", SHOWS_SNAT),
    ("hairpin: across EIPs", SHOWS_INSIDE),
    ("hairpin: a port's target reaches itself", SHOWS_INSIDE),
    ("hairpin: an error comes back", SHOWS_INSIDE),
    ("hairpin: ping of a FIP", SHOWS_SNAT),
    ("hairpin: ping of an EIP without rules", NOBODY),
    ("hairpin: ping of the client's own SNAT address", NO_ECHO),
    ("guard: a source that no SNAT covers", ROUTES),
    (
        "guard: the agent's port on the pod network",
        "there is none on this network",
    ),
    (
        "guard: the agent's port on the LAN is not for outside",
        NOBODY,
    ),
    ("guard: the agent's port on an EIP", NOBODY),
    ("guard: inside hosts do not reach each other", ROUTES),
    ("guard: an inside host cannot send from an EIP", ROUTES),
    ("guard: an outside host that routes to", ROUTES),
    ("guard: an answer that an outside host routes", ROUTES),
    ("guard: what an inside host answers", ROUTES),
    ("neighbour: an EIP without rules is answered", NOBODY),
    ("neighbour: 800 questions at once", NOBODY),
    ("fragments", "the userspace datapath drops small fragments"),
    (
        "error: too big",
        "IPv6: does not translate what an error of this type is about",
    ),
    (
        "error: the gateway's own hop limit, beyond",
        "IPv6: answers with another address",
    ),
    ("guard: a ", "IPv6: says that such a message has no way"),
    (
        "path MTU of 1280: told from beyond",
        "IPv6: as with errors of this type",
    ),
    (
        "traceroute: through a FIP from outside",
        "IPv6: answers with another address",
    ),
];
const NOBODY: &str = "answers for addresses that rows name, and for no others";
const NO_ECHO: &str = "only a FIP's host answers echo requests to an EIP";
const SHOWS_SNAT: &str = "a client shows its SNAT's EIP, or its own address";
const SHOWS_INSIDE: &str = "a client of a load balancer shows its own address";
const ROUTES: &str = "the router routes what no row translates";
