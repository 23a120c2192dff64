//! The wires of a lab: which namespaces and links there are, and their making.
//!
//! ```text
//!   cp (control plane)                      node-a, node-b, ...
//!     under0 ---- bridge ------------------ eth0        172.30.0.0/24
//!     lan0   ---- bridge ------------------ br-lan      tenant LAN
//!     ext0   ---- bridge ------------------ br-ext      outside segment
//!                   |    |
//!                router  client                         10.155.30.1, .9
//!                   |    |
//!     two0   ---- bridge ------------------ br-ext2     second outside segment
//!                                                       10.155.40.1, .9
//!                router
//!                   |
//!                client2                                198.51.100.9
//! ```
//!
//! Everything hangs in the lab's own namespaces; the host's network is not
//! touched. Bridges run without spanning tree and without multicast snooping,
//! and fixed addresses are added without duplicate address detection, so that
//! a link carries traffic as soon as it is up.

use std::fmt::Write as _;
use std::process::Command;

use crate::command::run_with_input;
use crate::error::Result;
use crate::families::{
    API, CLIENT, FAR_CLIENT, FAR_ROUTER, Families, NodePlan, ROUTER, SECOND_CLIENT, SECOND_ROUTER,
};
use crate::netns;
use crate::paths::LabPaths;

/// The namespaces that are no nodes.
pub const FIXED: [&str; 4] = ["cp", "router", "client", "client2"];

/// The bridges in the control plane's namespace: underlay, LAN, both outside segments.
const BRIDGES: [&str; 4] = ["under0", "lan0", "ext0", "two0"];

/// Settings of every namespace that forwards.
const FORWARDING: [(&str, &str); 7] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/all/accept_dad", "0"),
    // Bridged frames are no business of kube-proxy's rules.
    ("net/bridge/bridge-nf-call-iptables", "0"),
    ("net/bridge/bridge-nf-call-ip6tables", "0"),
    ("net/bridge/bridge-nf-call-arptables", "0"),
];

/// Settings of the outside hosts that do not forward.
const HOST: [(&str, &str); 2] = [
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/all/accept_dad", "0"),
];

/// Makes the control plane's namespace with its bridges, and the outside.
///
/// # Errors
/// When a namespace or a link cannot be made.
pub fn create(paths: &LabPaths, families: Families) -> Result<()> {
    for name in FIXED {
        netns::create(&paths.netns(name))?;
    }
    let ns = |name: &str| paths.netns(name).display().to_string();
    let mut cp = String::new();
    for bridge in BRIDGES {
        let _ = writeln!(
            cp,
            "link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        );
    }
    for bridge in ["lan0", "ext0", "two0"] {
        let _ = writeln!(cp, "link set {bridge} addrgenmode none");
    }
    // Else a bridge takes the lowest address of its ports, and its neighbours
    // lose it whenever a node comes or goes.
    cp.push_str("link set under0 address 02:5c:00:00:00:01\n");
    address(&mut cp, "under0", families, API, (24, 64));
    for bridge in BRIDGES {
        let _ = writeln!(cp, "link set {bridge} up");
    }
    for (host, peer, bridge) in [
        ("router", "eth0", "ext0"),
        ("client", "eth0", "ext0"),
        ("router", "eth2", "two0"),
        ("client", "eth1", "two0"),
    ] {
        let own = match bridge {
            "ext0" => host.to_owned(),
            _ => format!("{host}-two"),
        };
        let _ = writeln!(
            cp,
            "link add {own} type veth peer name {peer} netns {}",
            ns(host)
        );
        port(&mut cp, &own, bridge);
    }
    batch(paths, "cp", &FORWARDING, &cp)?;

    let mut router = format!(
        "link add eth1 type veth peer name eth0 netns {}\n",
        ns("client2")
    );
    address(&mut router, "eth0", families, ROUTER, (24, 64));
    address(&mut router, "eth1", families, FAR_ROUTER, (24, 64));
    address(&mut router, "eth2", families, SECOND_ROUTER, (24, 64));
    router.push_str("link set eth0 up\nlink set eth1 up\nlink set eth2 up\n");
    batch(paths, "router", &FORWARDING, &router)?;
    for (host, own, gateway) in [
        ("client", CLIENT, ROUTER),
        ("client2", FAR_CLIENT, FAR_ROUTER),
    ] {
        let mut text = String::new();
        address(&mut text, "eth0", families, own, (24, 64));
        text.push_str("link set eth0 up\n");
        if host == "client" {
            address(&mut text, "eth1", families, SECOND_CLIENT, (24, 64));
            text.push_str("link set eth1 up\n");
        }
        for via in families.of(gateway.0, gateway.1) {
            let _ = writeln!(text, "route add default via {via}");
        }
        batch(paths, host, &HOST, &text)?;
    }
    batch_nft(paths, PARTITION_TABLE)
}

/// Makes, or makes anew, the namespace of a node and its four links.
///
/// # Errors
/// When a namespace or a link cannot be made.
pub fn create_node(
    paths: &LabPaths,
    families: Families,
    node: &NodePlan,
    all: &[NodePlan],
) -> Result<()> {
    remove_node(paths, node);
    netns::create(&paths.netns(&node.name))?;
    let ns = paths.netns(&node.name).display().to_string();
    let mut cp = String::new();
    for (bridge, peer) in BRIDGES
        .into_iter()
        .zip(["eth0", "lan-up", "ext-up", "two-up"])
    {
        let own = link_of(node, bridge);
        let _ = writeln!(cp, "link add {own} type veth peer name {peer} netns {ns}");
        port(&mut cp, &own, bridge);
    }
    for (to, via) in pairs(families, &node.pods, &node.address) {
        let _ = writeln!(cp, "route replace {to} via {via} dev under0");
    }
    batch(paths, "cp", &[], &cp)?;

    let mut text = String::new();
    for (bridge, uplink) in [
        ("br-lan", "lan-up"),
        ("br-ext", "ext-up"),
        ("br-ext2", "two-up"),
    ] {
        let _ = writeln!(
            text,
            "link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        );
        let _ = writeln!(text, "link set {bridge} addrgenmode none up");
        port(&mut text, uplink, bridge);
    }
    address(
        &mut text,
        "eth0",
        families,
        (&node.address.0, &node.address.1),
        (24, 64),
    );
    // A machine keeps its network card over a power cycle.
    let _ = writeln!(text, "link set eth0 address {}", node.mac());
    text.push_str("link set eth0 up\n");
    for via in families.of(API.0, API.1) {
        let _ = writeln!(text, "route add default via {via}");
    }
    for other in all.iter().filter(|other| other.name != node.name) {
        for (to, via) in pairs(families, &other.pods, &other.address) {
            let _ = writeln!(text, "route add {to} via {via}");
        }
    }
    batch(paths, &node.name, &FORWARDING, &text)
}

/// Takes the wires of a node away. Doing nothing when there are none.
pub fn remove_node(paths: &LabPaths, node: &NodePlan) {
    for bridge in BRIDGES {
        // Fails when the link is not there, which is what is wanted.
        let _ = batch(
            paths,
            "cp",
            &[],
            &format!("link del {}\n", link_of(node, bridge)),
        );
    }
    netns::remove(&paths.netns(&node.name));
}

/// Where the API server lives: what the sets hold is cut off from it.
const PARTITION_TABLE: &str = "table inet sluice_lab {
  set cut4 { type ipv4_addr; flags interval; }
  set cut6 { type ipv6_addr; flags interval; }
  chain in { type filter hook input priority filter; policy accept;
    tcp dport 6443 ip saddr @cut4 counter drop
    tcp dport 6443 ip6 saddr @cut6 counter drop
    tcp sport 10250 ip saddr @cut4 counter drop
    tcp sport 10250 ip6 saddr @cut6 counter drop
  }
  chain out { type filter hook output priority filter; policy accept;
    tcp sport 6443 ip daddr @cut4 counter drop
    tcp sport 6443 ip6 daddr @cut6 counter drop
    tcp dport 10250 ip daddr @cut4 counter drop
    tcp dport 10250 ip6 daddr @cut6 counter drop
  }
}
";

/// Cuts a node and its pods off from the API server, or heals that. All other
/// traffic, also between pods, goes on. Doing it twice is no error.
///
/// # Errors
/// When `nft` fails.
pub fn partition(paths: &LabPaths, node: &NodePlan, cut: bool) -> Result<()> {
    let verb = if cut { "add" } else { "delete" };
    let mut text = String::new();
    for (set, address, pods) in [
        ("cut4", &node.address.0, &node.pods.0),
        ("cut6", &node.address.1, &node.pods.1),
    ] {
        // Adding first makes the deletion of what is absent succeed too.
        let _ = writeln!(
            text,
            "add element inet sluice_lab {set} {{ {address}, {pods} }}"
        );
        let _ = writeln!(
            text,
            "{verb} element inet sluice_lab {set} {{ {address}, {pods} }}"
        );
    }
    batch_nft(paths, &text)
}

fn batch_nft(paths: &LabPaths, text: &str) -> Result<()> {
    netns::within(&paths.netns("cp"), || {
        run_with_input(Command::new("nft").args(["-f", "-"]), text).map(drop)
    })
}

/// Runs lines of `ip` in a namespace, after setting its sysctls.
fn batch(paths: &LabPaths, name: &str, sysctls: &[(&str, &str)], text: &str) -> Result<()> {
    netns::within(&paths.netns(name), || {
        netns::set_sysctls(sysctls)?;
        run_with_input(Command::new("ip").args(["-batch", "-"]), text).map(drop)
    })
}

fn address(out: &mut String, link: &str, families: Families, own: (&str, &str), length: (u8, u8)) {
    if families.v4() {
        let _ = writeln!(out, "addr add {}/{} dev {link}", own.0, length.0);
    }
    if families.v6() {
        let _ = writeln!(out, "addr add {}/{} dev {link} nodad", own.1, length.1);
    }
}

fn port(out: &mut String, link: &str, bridge: &str) {
    let _ = writeln!(out, "link set {link} master {bridge} addrgenmode none up");
}

/// The control plane's end of a node's link; at most 15 characters.
fn link_of(node: &NodePlan, bridge: &str) -> String {
    format!(
        "{}-{}",
        bridge.trim_end_matches('0'),
        node.name.trim_start_matches("node-")
    )
}

fn pairs<'a>(
    families: Families,
    a: &'a (String, String),
    b: &'a (String, String),
) -> Vec<(&'a str, &'a str)> {
    let mut out = Vec::new();
    if families.v4() {
        out.push((a.0.as_str(), b.0.as_str()));
    }
    if families.v6() {
        out.push((a.1.as_str(), b.1.as_str()));
    }
    out
}
