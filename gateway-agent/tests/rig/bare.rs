//! A gateway whose neighbours are the checks' hosts: nothing else is on its links.

use std::collections::BTreeMap;
use std::process::Command;

use packet_checks::damage::Damage;
use packet_checks::hosts::{Hosts, Link};
use packet_checks::plan::{Family, Host, Own, Segment, Setup, entries};
use packet_checks::run;
use sluice_crds::internal::{ConfigLan, ConfigSettings, ConfigSubnet, ConfigUplink};

use super::link::Interface;
use super::{Gateway, in_ns, ip, sysctl};

/// The gateway's namespace, and the one at the other ends of its links.
pub struct Bare {
    pub gw: String,
    pub hosts: String,
    families: Vec<Family>,
    setup: Setup,
}

impl Drop for Bare {
    fn drop(&mut self) {
        for name in [&self.gw, &self.hosts] {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

impl Bare {
    pub fn new(families: &[Family], setup: Setup) -> Self {
        let id = super::unique();
        let bare = Self {
            gw: format!("{id}-gw"),
            hosts: format!("{id}-hosts"),
            families: families.to_vec(),
            setup,
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
        for segment in setup.segments() {
            let name = segment.interface();
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
            for (own, segment) in [
                (Own::Uplink, Segment::Outside),
                (Own::Second, Segment::Second),
                (Own::Pod, Segment::Pods),
            ] {
                if !setup.segments().contains(&segment) {
                    continue;
                }
                let (name, address) = (segment.interface(), own.address(*family));
                ip(&format!("-n {gw} address add {address}/{bits} dev {name}"));
            }
            let node = Host::Node.address(*family);
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
        let segments = self.setup.segments();
        let links = in_ns(&self.hosts, move || {
            let open = |segment| {
                let link = Interface::open(Segment::interface(segment)).unwrap();
                let link: Box<dyn Link + Send> = Box::new(link);
                (segment, link)
            };
            segments.into_iter().map(open).collect::<Vec<_>>()
        });
        let links = links.join().unwrap();
        Hosts::new(
            links
                .into_iter()
                .map(|(segment, link)| -> (Segment, Box<dyn Link>) { (segment, link) })
                .collect::<BTreeMap<_, _>>(),
        )
    }

    /// What the gateway is told, in its families.
    pub fn settings(&self) -> ConfigSettings {
        let mut uplinks: Vec<ConfigUplink> = Vec::new();
        for uplink in self.families.iter().flat_map(|f| self.setup.uplinks(*f)) {
            let subnet = ConfigSubnet {
                cidr: uplink.subnet.into(),
                gateway: Some(uplink.next_hop.to_string()),
            };
            match uplinks.iter_mut().find(|known| known.name == uplink.name) {
                Some(known) => known.subnets.push(subnet),
                None => uplinks.push(ConfigUplink {
                    name: uplink.name.into(),
                    interface: uplink.segment.interface().into(),
                    subnets: vec![subnet],
                    ipv4: None,
                    ipv6: None,
                }),
            }
        }
        let lan = self.families.iter().flat_map(|f| self.setup.lan(*f));
        ConfigSettings {
            lan: ConfigLan {
                interface: Segment::Inside.interface().into(),
                addresses: lan.map(|text| (*text).to_owned()).collect(),
                routes: vec![],
            },
            uplinks,
            ..super::settings()
        }
    }

    /// Gives the gateway all that the checks need.
    pub fn apply(&self, gateway: &Gateway) {
        let families = self.families.iter();
        let entries: Vec<String> = families.flat_map(|f| entries(self.setup, *f)).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        let applied = gateway.apply_with(self.settings(), 1, &entries, true);
        assert!(applied.rejected.is_empty(), "{:?}", applied.rejected);
    }

    /// Runs a script in the gateway's namespace: what it printed, or said where it failed.
    pub fn script(&self, script: &str) -> Result<String, String> {
        let out = Command::new("ip")
            .args(["netns", "exec", &self.gw, "sh", "-c", script])
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&out.stdout).into_owned();
        if out.status.success() {
            return Ok(printed);
        }
        let said = String::from_utf8_lossy(&out.stderr);
        Err(format!("{script}: {printed}{said}"))
    }

    /// Mends a damaged gateway.
    pub fn restore(&self, gateway: &Gateway, damage: &Damage, family: Family) {
        if let Some(undo) = damage.undo(family) {
            self.script(&undo).unwrap();
        }
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

    /// The gateway with an agent that mends what breaks.
    pub fn mending<'a>(&'a self, gateway: &'a Gateway) -> UnderTest<'a> {
        UnderTest {
            bare: self,
            agent: Some(gateway),
        }
    }

    /// The gateway without an agent.
    pub fn idle(&self) -> UnderTest<'_> {
        UnderTest {
            bare: self,
            agent: None,
        }
    }
}

/// The gateway of the checks, and the agent that mends it, if one does.
pub struct UnderTest<'a> {
    bare: &'a Bare,
    agent: Option<&'a Gateway>,
}

impl run::Gateway for UnderTest<'_> {
    fn script(&mut self, script: &str) -> Result<String, String> {
        self.bare.script(script)
    }

    fn mended(&mut self) -> Result<(), String> {
        let Some(agent) = self.agent else {
            return Ok(());
        };
        agent.with(|kernel| {
            kernel.repair().map_err(|error| error.to_string())?;
            let addresses = kernel.addresses();
            let announced = kernel.announce(&addresses);
            announced.map(drop).map_err(|error| error.to_string())
        })
    }
}
