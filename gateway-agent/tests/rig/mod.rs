//! A gateway between an outside network and a LAN, in network namespaces of their own.
//!
//! ```text
//! client (10.155.30.9, .1; 198.51.100.9) - ext - [eth1 gw lan0] - lan - a (10.244.0.5), b (.6)
//!                                                [eth0] - node (10.250.0.1)
//! ```
//! The same with 2001:db8:1::/64, 2001:db8:2::9, fd00:10:244::/64 and fd00:10:250::/64.
#![allow(dead_code, unused_imports, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::indexing_slicing)]

mod bare;
mod gateway;
mod link;
mod sctp;
mod streams;
mod targets;
mod traffic;
mod uplinks;

use std::net::IpAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use bare::*;
pub use gateway::*;
pub use link::Interface;
use rustix::thread::{CapabilitySet, CapabilitySets};
pub use sctp::*;
use sluice_gateway_agent::kernel::Kernel;
pub use streams::*;
pub use targets::*;
pub use traffic::*;
pub use uplinks::*;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A name that no other network of this machine has.
fn unique() -> String {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("slk{}-{count}", std::process::id())
}

pub fn ip(args: &str) {
    run("ip", args);
}

fn run(program: &str, args: &str) {
    let out = Command::new(program)
        .args(args.split_whitespace())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{program} {args}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// Runs in a network namespace, on a thread of its own.
pub fn in_ns<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let path = format!("/run/netns/{name}");
    std::thread::spawn(move || {
        enter(&path);
        work()
    })
}

fn enter(path: &str) {
    let file = std::fs::File::open(path).unwrap();
    rustix::thread::move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&file),
        Some(rustix::thread::LinkNameSpaceType::Network),
    )
    .unwrap();
}

/// Leaves this thread only what a gateway pod has.
pub fn drop_privileges() {
    rustix::thread::set_no_new_privs(true).unwrap();
    let keep = CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: keep,
            permitted: keep,
            inheritable: CapabilitySet::empty(),
        },
    )
    .unwrap();
}

pub struct Net {
    pub client: String,
    pub gw: String,
    pub a: String,
    pub b: String,
    pub node: String,
    pub switch: String,
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in [
            &self.client,
            &self.gw,
            &self.a,
            &self.b,
            &self.node,
            &self.switch,
        ] {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

impl Net {
    pub fn new() -> Self {
        let id = unique();
        let name = |host: &str| format!("{id}-{host}");
        let net = Self {
            client: name("client"),
            gw: name("gw"),
            a: name("a"),
            b: name("b"),
            node: name("node"),
            switch: name("sw"),
        };
        for host in [&net.client, &net.gw, &net.a, &net.b, &net.node, &net.switch] {
            ip(&format!("netns add {host}"));
            sysctl(host, "ipv6/conf/all/accept_dad", "0");
            sysctl(host, "ipv6/conf/default/accept_dad", "0");
            ip(&format!("-n {host} link set lo up"));
        }
        let sw = &net.switch;
        for bridge in ["ext", "lan"] {
            ip(&format!(
                "-n {sw} link add {bridge} type bridge mcast_snooping 0"
            ));
            ip(&format!("-n {sw} link set {bridge} up"));
        }
        for file in ["iptables", "ip6tables", "arptables"] {
            let path = format!("/proc/sys/net/bridge/bridge-nf-call-{file}");
            in_ns(sw, move || {
                if std::path::Path::new(&path).exists() {
                    std::fs::write(&path, "0").unwrap();
                }
            })
            .join()
            .unwrap();
        }
        let mut mac = 0x10;
        let mut plug = |host: &str, interface: &str, bridge: &str| {
            mac += 1;
            let port = format!("p{mac}");
            ip(&format!(
                "-n {sw} link add {port} type veth peer name {interface} address 02:00:00:00:00:{mac:02x} netns {host}"
            ));
            ip(&format!("-n {sw} link set {port} master {bridge} up"));
            ip(&format!("-n {host} link set {interface} up"));
        };
        plug(&net.client, "eth0", "ext");
        plug(&net.gw, "eth1", "ext");
        plug(&net.gw, "lan0", "lan");
        plug(&net.a, "eth0", "lan");
        plug(&net.b, "eth0", "lan");
        let (gw, node) = (&net.gw, &net.node);
        ip(&format!(
            "-n {node} link add eth0 type veth peer name eth0 netns {gw}"
        ));
        ip(&format!("-n {node} link set eth0 up"));
        ip(&format!("-n {gw} link set eth0 up"));
        for (host, dev, list) in [
            (
                &net.client,
                "eth0",
                "10.155.30.9/24 10.155.30.1/24 2001:db8:1::1/64 2001:db8:1::9/64",
            ),
            (&net.client, "lo", "198.51.100.9/32 2001:db8:2::9/128"),
            (&net.gw, "eth1", "10.155.30.2/24 2001:db8:1::2/64"),
            (&net.gw, "eth0", "10.250.0.2/24 fd00:10:250::2/64"),
            (&net.node, "eth0", "10.250.0.1/24 fd00:10:250::1/64"),
            (&net.a, "eth0", "10.244.0.5/16 fd00:10:244::5/64"),
            (&net.b, "eth0", "10.244.0.6/16 fd00:10:244::6/64"),
        ] {
            for address in list.split(' ') {
                let nodad = if address.contains(':') { "nodad" } else { "" };
                ip(&format!(
                    "-n {host} address add {address} dev {dev} {nodad}"
                ));
            }
        }
        for host in [&net.a, &net.b] {
            ip(&format!("-n {host} route add default via 10.244.0.254"));
            ip(&format!("-n {host} route add default via fd00:10:244::fe"));
        }
        ip(&format!("-n {gw} route add default via 10.250.0.1"));
        ip(&format!("-n {gw} route add default via fd00:10:250::1"));
        // A pod is born forwarding on a real node; IPv6 is set by the pod's sysctls.
        sysctl(gw, "ipv4/ip_forward", "1");
        sysctl(gw, "ipv6/conf/all/forwarding", "1");
        sysctl(gw, "ipv6/conf/all/proxy_ndp", "1");
        net
    }

    /// The node routes whatever leaks to it back to nobody, and counts.
    pub fn gateway(&self, ownership: bool) -> Gateway {
        Gateway::open(&self.gw, ownership)
    }
}

pub fn sysctl(ns: &str, path: &str, value: &str) {
    let (path, value) = (format!("/proc/sys/net/{path}"), value.to_owned());
    in_ns(ns, move || std::fs::write(&path, value).unwrap())
        .join()
        .unwrap();
}

pub fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What a program prints in a namespace.
pub fn output(ns: &str, command: &str) -> String {
    let out = Command::new("ip")
        .args(["netns", "exec", ns])
        .args(command.split_whitespace())
        .output()
        .unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}

/// Waits until the condition holds; fails the test after 5 s.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !is_so() {
        assert!(Instant::now() < end, "not within 5 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
