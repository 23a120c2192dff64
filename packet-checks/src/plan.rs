//! The addresses of the checks, per family, and what the gateway is told.
//!
//! ```text
//! client, rival, router = far - outside - [gateway] - inside - web, web2, inner, stranger
//!                                             |
//!                                            pod network - node
//! ```

use std::net::IpAddr;

/// A family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// 4 or 6: the ending of this family's sets and maps.
    #[must_use]
    pub fn digit(self) -> u8 {
        match self {
            Family::V4 => 4,
            Family::V6 => 6,
        }
    }
}

/// A link that hosts are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// Where the EIPs are.
    Outside,
    /// The LAN.
    Inside,
    /// The pod network, by which the agent talks to the API server.
    Pods,
}

impl Segment {
    /// All of them.
    pub const ALL: [Segment; 3] = [Segment::Outside, Segment::Inside, Segment::Pods];
}

/// A host without a kernel: what is sent to it is noted, and it sends what a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// Outside, in the EIPs' own subnet.
    Client,
    /// Outside, the next hop of the uplink.
    Router,
    /// Outside, behind the router.
    Far,
    /// Inside, with a FIP.
    Web,
    /// Inside, the target of DNATs, with an SNAT of its own.
    Web2,
    /// Inside, with the SNAT of its subnet.
    Inner,
    /// Inside, and no SNAT covers it.
    Stranger,
    /// The same, and it asks for nothing else: hosts that were sent back the way they came are
    /// told of errors a second later only.
    Lone,
    /// The gateway pod's node.
    Node,
}

impl Host {
    /// All of them.
    pub const ALL: [Host; 9] = [
        Host::Client,
        Host::Router,
        Host::Far,
        Host::Web,
        Host::Web2,
        Host::Inner,
        Host::Stranger,
        Host::Lone,
        Host::Node,
    ];

    /// The link it is on.
    #[must_use]
    pub fn segment(self) -> Segment {
        match self {
            Host::Client | Host::Router | Host::Far => Segment::Outside,
            Host::Web | Host::Web2 | Host::Inner | Host::Stranger | Host::Lone => Segment::Inside,
            Host::Node => Segment::Pods,
        }
    }

    /// Its MAC; what is behind the router comes with the router's.
    #[must_use]
    pub fn mac(self) -> [u8; 6] {
        let last = match self {
            Host::Client => 1,
            Host::Router | Host::Far => 2,
            Host::Web => 3,
            Host::Web2 => 4,
            Host::Inner => 5,
            Host::Stranger => 6,
            Host::Node => 7,
            Host::Lone => 8,
        };
        [0x02, 0, 0, 0, 0xc0, last]
    }

    /// Whether it has its address itself on the link, and so answers for it.
    #[must_use]
    pub fn is_on_link(self) -> bool {
        self != Host::Far
    }

    /// Its address.
    #[must_use]
    pub fn address(self, family: Family) -> IpAddr {
        let (v4, v6) = match self {
            Host::Client => ("10.155.30.9", "2001:db8:1::9"),
            Host::Router => ("10.155.30.1", "2001:db8:1::1"),
            Host::Far => ("198.51.100.9", "2001:db8:2::9"),
            Host::Web => ("10.244.0.5", "fd00:10:244::5"),
            Host::Web2 => ("10.244.0.6", "fd00:10:244::6"),
            Host::Inner => ("10.244.0.7", "fd00:10:244::7"),
            Host::Stranger => ("10.244.7.7", "fd00:10:244:0:7::7"),
            Host::Lone => ("10.244.7.8", "fd00:10:244:0:7::8"),
            Host::Node => ("10.250.0.1", "fd00:10:250::1"),
        };
        pick(family, v4, v6)
    }
}

/// An EIP of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Eip {
    /// With a FIP to the web host.
    Fip,
    /// With DNATs to the second web host, and one to the first.
    Ports,
    /// The source of the inner host's subnet.
    Source,
    /// The source of the second web host alone.
    Own,
    /// Without any rule.
    Bare,
}

impl Eip {
    /// All of them.
    pub const ALL: [Eip; 5] = [Eip::Fip, Eip::Ports, Eip::Source, Eip::Own, Eip::Bare];

    /// Its name, in entries.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Eip::Fip => "fip",
            Eip::Ports => "ports",
            Eip::Source => "source",
            Eip::Own => "own",
            Eip::Bare => "bare",
        }
    }

    /// Its address.
    #[must_use]
    pub fn address(self, family: Family) -> IpAddr {
        let (v4, v6) = match self {
            Eip::Fip => ("10.155.30.241", "2001:db8:1::e:1"),
            Eip::Ports => ("10.155.30.242", "2001:db8:1::e:2"),
            Eip::Source => ("10.155.30.243", "2001:db8:1::e:3"),
            Eip::Own => ("10.155.30.244", "2001:db8:1::e:4"),
            Eip::Bare => ("10.155.30.245", "2001:db8:1::e:5"),
        };
        pick(family, v4, v6)
    }
}

/// An address of the gateway pod itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// On the LAN: the inside hosts' next hop.
    Lan,
    /// On the uplink.
    Uplink,
    /// On the pod network.
    Pod,
}

impl Own {
    /// The address.
    #[must_use]
    pub fn address(self, family: Family) -> IpAddr {
        let (v4, v6) = match self {
            Own::Lan => ("10.244.0.254", "fd00:10:244::fe"),
            Own::Uplink => ("10.155.30.2", "2001:db8:1::2"),
            Own::Pod => ("10.250.0.2", "fd00:10:250::2"),
        };
        pick(family, v4, v6)
    }
}

/// The gateway's entries for a family, as its config holds them.
#[must_use]
pub fn entries(family: Family) -> Vec<String> {
    let at = |eip: Eip| eip.address(family);
    let host = |host: Host| host.address(family);
    let mut all: Vec<String> = Eip::ALL
        .iter()
        .map(|eip| format!("addr {} 1 {} external", eip.name(), at(*eip)))
        .collect();
    let ports = at(Eip::Ports);
    let (web, web2) = (host(Host::Web), host(Host::Web2));
    all.push(format!("fip f 1 {} {web} both", at(Eip::Fip)));
    for (name, protocol, outer, target, inner) in [
        ("http", "tcp", "8080", web2, "80"),
        ("dns", "udp", "53", web2, "53"),
        ("shifted", "udp", "8000-8099", web2, "9000-9099"),
        ("range", "tcp", "20000-20999", web2, "20000-20999"),
        ("ssh", "tcp", "22", web, "22"),
    ] {
        all.push(format!(
            "dnat {name} 1 {ports} {protocol} {outer} {target} {inner}"
        ));
    }
    let (subnet, own) = match family {
        Family::V4 => ("10.244.0.0/24", 32),
        Family::V6 => ("fd00:10:244::/80", 128),
    };
    all.push(format!("snat subnet 1 {subnet} {}", at(Eip::Source)));
    all.push(format!("snat own 1 {web2}/{own} {}", at(Eip::Own)));
    all
}

fn pick(family: Family, v4: &str, v6: &str) -> IpAddr {
    let text = match family {
        Family::V4 => v4,
        Family::V6 => v6,
    };
    // These texts are addresses: a test reads them all.
    text.parse()
        .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_of_its_family_and_there_once() {
        for family in Family::BOTH {
            let hosts = Host::ALL.map(|host| host.address(family));
            let eips = Eip::ALL.map(|eip| eip.address(family));
            let own = [Own::Lan, Own::Uplink, Own::Pod].map(|own| own.address(family));
            let all: Vec<IpAddr> = [&hosts[..], &eips, &own].concat();
            assert!(all.iter().all(|a| a.is_ipv4() == (family == Family::V4)));
            let once: std::collections::BTreeSet<_> = all.iter().collect();
            assert_eq!(once.len(), all.len());
        }
    }
}
