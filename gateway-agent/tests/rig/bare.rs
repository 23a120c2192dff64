//! A gateway whose neighbours are the checks' hosts: nothing else is on its links.

use std::collections::BTreeMap;
use std::process::Command;

use packet_checks::hosts::{Hosts, Link};
use packet_checks::plan::{Family, Own, Segment};
use packet_checks::socket::Interface;
use sluice_crds::internal::ConfigSettings;

use super::{Gateway, in_ns, ip, settings, sysctl};

/// The gateway's namespace, and the one at the other ends of its links.
pub struct Bare {
    pub gw: String,
    pub hosts: String,
    families: Vec<Family>,
}

impl Drop for Bare {
    fn drop(&mut self) {
        for name in [&self.gw, &self.hosts] {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

/// The gateway's interface on a segment.
fn interface(segment: Segment) -> &'static str {
    match segment {
        Segment::Outside => "eth1",
        Segment::Inside => "lan0",
        Segment::Pods => "eth0",
    }
}

impl Bare {
    pub fn new(families: &[Family]) -> Self {
        let id = super::unique();
        let bare = Self {
            gw: format!("{id}-gw"),
            hosts: format!("{id}-hosts"),
            families: families.to_vec(),
        };
        let (gw, hosts) = (&bare.gw, &bare.hosts);
        for name in [gw, hosts] {
            ip(&format!("netns add {name}"));
            ip(&format!("-n {name} link set lo up"));
        }
        sysctl(gw, "ipv6/conf/all/accept_dad", "0");
        sysctl(gw, "ipv6/conf/default/accept_dad", "0");
        // The hosts are not the kernel's.
        sysctl(hosts, "ipv6/conf/default/disable_ipv6", "1");
        for segment in Segment::ALL {
            let name = interface(segment);
            ip(&format!(
                "-n {gw} link add {name} type veth peer name {name} netns {hosts}"
            ));
            ip(&format!("-n {hosts} link set {name} arp off up"));
            ip(&format!("-n {gw} link set {name} up"));
        }
        for family in families {
            let bits = match family {
                Family::V4 => "24",
                Family::V6 => "64 nodad",
            };
            for (own, name) in [(Own::Uplink, "eth1"), (Own::Pod, "eth0")] {
                let address = own.address(*family);
                ip(&format!("-n {gw} address add {address}/{bits} dev {name}"));
            }
            let node = packet_checks::plan::Host::Node.address(*family);
            ip(&format!("-n {gw} route add default via {node}"));
        }
        // Each check has its errors, however many there were before.
        sysctl(gw, "ipv4/icmp_ratelimit", "0");
        sysctl(gw, "ipv6/icmp/ratelimit", "0");
        sysctl(gw, "ipv4/ip_forward", "1");
        sysctl(gw, "ipv6/conf/all/forwarding", "1");
        sysctl(gw, "ipv6/conf/all/proxy_ndp", "1");
        bare
    }

    /// The hosts of the checks, on the gateway's links.
    pub fn hosts(&self) -> Hosts {
        let links = in_ns(&self.hosts, || {
            let open = |segment| {
                let index = rustix::net::netdevice::name_to_index(
                    rustix::net::socket(
                        rustix::net::AddressFamily::INET,
                        rustix::net::SocketType::DGRAM,
                        None,
                    )
                    .unwrap(),
                    interface(segment),
                );
                let link: Box<dyn Link + Send> = Box::new(Interface::open(index.unwrap()).unwrap());
                (segment, link)
            };
            Segment::ALL.map(open)
        });
        let links = links.join().unwrap();
        Hosts::new(
            links
                .into_iter()
                .map(|(segment, link)| -> (Segment, Box<dyn Link>) { (segment, link) })
                .collect::<BTreeMap<_, _>>(),
        )
    }

    /// What the gateway is told: the families' parts of the usual settings.
    pub fn settings(&self) -> ConfigSettings {
        let mut all = settings();
        let wanted = |text: &String| {
            let family = if text.contains(':') {
                Family::V6
            } else {
                Family::V4
            };
            self.families.contains(&family)
        };
        all.lan.addresses.retain(wanted);
        for uplink in &mut all.uplinks {
            uplink.subnets.retain(|subnet| wanted(&subnet.cidr));
        }
        all
    }

    /// Gives the gateway all that the checks need.
    pub fn apply(&self, gateway: &Gateway) {
        let entries: Vec<String> = self
            .families
            .iter()
            .flat_map(|family| packet_checks::plan::entries(*family))
            .collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        let applied = gateway.apply_with(self.settings(), 1, &entries, true);
        assert!(applied.rejected.is_empty(), "{:?}", applied.rejected);
    }

    /// Runs a script in the gateway's namespace; what it said where it failed.
    pub fn script(&self, script: &str) -> Result<(), String> {
        let out = Command::new("ip")
            .args(["netns", "exec", &self.gw, "sh", "-c", script])
            .output()
            .unwrap();
        if out.status.success() {
            return Ok(());
        }
        Err(format!(
            "{script}: {}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        ))
    }

    /// Mends a damaged gateway.
    pub fn restore(&self, gateway: &Gateway) {
        sysctl(&self.gw, "netfilter/nf_conntrack_tcp_loose", "1");
        gateway.with(|kernel| {
            kernel.repair().unwrap();
            let drift = kernel.inspect().unwrap().drift;
            assert!(drift.is_empty(), "{drift:?}");
        });
    }

    /// Forgets all flows.
    pub fn forget_flows(&self) {
        self.script("conntrack -F 2>/dev/null").unwrap();
    }
}
