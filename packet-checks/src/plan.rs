//! The addresses of the checks, per family, and what the gateway is told.
//!
//! ```text
//! client, rival, router = far - outside - [gateway] - inside - web, web2, inner, stranger
//!           router2 = far - second outside -'  |
//!                                            pod network - node = api
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
    /// Where the EIPs of a second uplink are.
    Second,
    /// The LAN.
    Inside,
    /// The pod network, by which the agent talks to the API server.
    Pods,
}

impl Segment {
    /// All of them.
    pub const ALL: [Segment; 4] = [
        Segment::Outside,
        Segment::Second,
        Segment::Inside,
        Segment::Pods,
    ];

    /// The gateway's interface on it.
    #[must_use]
    pub fn interface(self) -> &'static str {
        match self {
            Segment::Outside => "eth1",
            Segment::Second => "eth2",
            Segment::Inside => "lan0",
            Segment::Pods => "eth0",
        }
    }
}

/// Which gateway a check needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setup {
    /// One uplink, one LAN.
    Usual,
    /// A second uplink, and one outside host behind both.
    TwoUplinks,
    /// A LAN whose prefix holds the pod network and the API server, and in IPv4 the uplink's
    /// subnet.
    Overlap,
}

/// An uplink of a gateway, in one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its name, in entries.
    pub name: &'static str,
    /// Where it is.
    pub segment: Segment,
    /// Its subnet.
    pub subnet: &'static str,
    /// Its next hop.
    pub next_hop: IpAddr,
}

impl Setup {
    /// All of them.
    pub const ALL: [Setup; 3] = [Setup::Usual, Setup::TwoUplinks, Setup::Overlap];

    /// The links of the gateway.
    #[must_use]
    pub fn segments(self) -> Vec<Segment> {
        let wanted = |segment: &Segment| *segment != Segment::Second || self == Setup::TwoUplinks;
        Segment::ALL.into_iter().filter(wanted).collect()
    }

    /// The gateway's addresses on the LAN, with their prefixes.
    #[must_use]
    pub fn lan(self, family: Family) -> &'static [&'static str] {
        match (self, family) {
            (Setup::Usual | Setup::TwoUplinks, Family::V4) => &["10.244.0.254/16"],
            (Setup::Usual | Setup::TwoUplinks, Family::V6) => &["fd00:10:244::fe/64"],
            (Setup::Overlap, Family::V4) => &["10.244.0.254/8"],
            (Setup::Overlap, Family::V6) => &["fd00:10:244::fe/32"],
        }
    }

    /// The gateway's uplinks.
    #[must_use]
    pub fn uplinks(self, family: Family) -> Vec<Uplink> {
        let uplink = |name, segment, v4, v6, router: Host| Uplink {
            name,
            segment,
            subnet: if family == Family::V4 { v4 } else { v6 },
            next_hop: router.address(family),
        };
        let mut all = vec![uplink(
            "external",
            Segment::Outside,
            "10.155.30.0/24",
            "2001:db8:1::/64",
            Host::Router,
        )];
        if self == Setup::TwoUplinks {
            all.push(uplink(
                "second",
                Segment::Second,
                "10.155.40.0/24",
                "2001:db8:3::/64",
                Host::Router2,
            ));
        }
        all
    }
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
    /// Outside, and it says of itself that it has EIPs.
    Rival,
    /// Outside, the next hop of the second uplink.
    Router2,
    /// Outside: the host behind the router, as it is reached by the second uplink.
    Far2,
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
    /// Inside, like the inner host, and it asks for nothing that fails but in one check.
    Quiet,
    /// Inside, with a FIP on the second uplink.
    Other,
    /// Inside, with an SNAT on the second uplink.
    Lodger,
    /// Inside, with a FIP, and an address like those of the pod network.
    Twin,
    /// The gateway pod's node.
    Node,
    /// The API server, behind the node.
    Api,
}

impl Host {
    /// All of them.
    pub const ALL: [Host; 17] = [
        Host::Client,
        Host::Router,
        Host::Far,
        Host::Rival,
        Host::Router2,
        Host::Far2,
        Host::Web,
        Host::Web2,
        Host::Inner,
        Host::Stranger,
        Host::Lone,
        Host::Quiet,
        Host::Other,
        Host::Lodger,
        Host::Twin,
        Host::Node,
        Host::Api,
    ];

    /// The link it is on.
    #[must_use]
    pub fn segment(self) -> Segment {
        match self {
            Host::Client | Host::Router | Host::Far | Host::Rival => Segment::Outside,
            Host::Router2 | Host::Far2 => Segment::Second,
            Host::Web
            | Host::Web2
            | Host::Inner
            | Host::Stranger
            | Host::Lone
            | Host::Quiet
            | Host::Other
            | Host::Lodger
            | Host::Twin => Segment::Inside,
            Host::Node | Host::Api => Segment::Pods,
        }
    }

    /// Its MAC; what is behind a router comes with the router's.
    #[must_use]
    pub fn mac(self) -> [u8; 6] {
        let last = match self {
            Host::Client => 1,
            Host::Router | Host::Far => 2,
            Host::Web => 3,
            Host::Web2 => 4,
            Host::Inner => 5,
            Host::Stranger => 6,
            Host::Node | Host::Api => 7,
            Host::Lone => 8,
            Host::Rival => 9,
            Host::Router2 | Host::Far2 => 10,
            Host::Quiet => 11,
            Host::Other => 12,
            Host::Lodger => 13,
            Host::Twin => 14,
        };
        [0x02, 0, 0, 0, 0xc0, last]
    }

    /// Whether it has its address itself on the link, and so answers for it.
    #[must_use]
    pub fn is_on_link(self) -> bool {
        !matches!(self, Host::Far | Host::Far2 | Host::Api)
    }

    /// Its address.
    #[must_use]
    pub fn address(self, family: Family) -> IpAddr {
        let (v4, v6) = match self {
            Host::Client => ("10.155.30.9", "2001:db8:1::9"),
            Host::Router => ("10.155.30.1", "2001:db8:1::1"),
            Host::Far | Host::Far2 => ("198.51.100.9", "2001:db8:2::9"),
            Host::Rival => ("10.155.30.66", "2001:db8:1::66"),
            Host::Router2 => ("10.155.40.1", "2001:db8:3::1"),
            Host::Web => ("10.244.0.5", "fd00:10:244::5"),
            Host::Web2 => ("10.244.0.6", "fd00:10:244::6"),
            Host::Inner => ("10.244.0.7", "fd00:10:244::7"),
            Host::Stranger => ("10.244.7.7", "fd00:10:244:0:7::7"),
            Host::Lone => ("10.244.7.8", "fd00:10:244:0:7::8"),
            Host::Quiet => ("10.244.0.9", "fd00:10:244::9"),
            Host::Other => ("10.244.0.8", "fd00:10:244::8"),
            Host::Lodger => ("10.244.8.7", "fd00:10:244:0:8::7"),
            Host::Twin => ("10.250.0.5", "fd00:10:250::5"),
            Host::Node => ("10.250.0.1", "fd00:10:250::1"),
            Host::Api => ("10.96.0.1", "fd00:10:96::1"),
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
    /// On the second uplink, with a FIP to the other host.
    Second,
    /// On the second uplink, with a DNAT to the second web host, and an SNAT.
    SecondPorts,
    /// With a FIP to the twin.
    Twin,
}

impl Eip {
    /// Those of a gateway.
    #[must_use]
    pub fn of(setup: Setup) -> Vec<Eip> {
        let mut all = vec![Eip::Fip, Eip::Ports, Eip::Source, Eip::Own, Eip::Bare];
        match setup {
            Setup::Usual => {}
            Setup::TwoUplinks => all.extend([Eip::Second, Eip::SecondPorts]),
            Setup::Overlap => all.push(Eip::Twin),
        }
        all
    }

    /// The uplink that it is on.
    #[must_use]
    pub fn uplink(self) -> &'static str {
        match self {
            Eip::Second | Eip::SecondPorts => "second",
            _ => "external",
        }
    }

    /// Its name, in entries.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Eip::Fip => "fip",
            Eip::Ports => "ports",
            Eip::Source => "source",
            Eip::Own => "own",
            Eip::Bare => "bare",
            Eip::Second => "second",
            Eip::SecondPorts => "second-ports",
            Eip::Twin => "twin",
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
            Eip::Second => ("10.155.40.241", "2001:db8:3::e:1"),
            Eip::SecondPorts => ("10.155.40.242", "2001:db8:3::e:2"),
            Eip::Twin => ("10.155.30.246", "2001:db8:1::e:6"),
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
    /// On the second uplink.
    Second,
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
            Own::Second => ("10.155.40.2", "2001:db8:3::2"),
            Own::Pod => ("10.250.0.2", "fd00:10:250::2"),
        };
        pick(family, v4, v6)
    }
}

/// A rule on an EIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The whole address to an inside host, and back.
    Fip(Eip, Host),
    /// Ports of a protocol to an inside host's: name, EIP, protocol, ports, host, its ports.
    Dnat(
        &'static str,
        Eip,
        &'static str,
        &'static str,
        Host,
        &'static str,
    ),
    /// What an inside prefix shows: name, prefix in either family, EIP.
    Snat(&'static str, [&'static str; 2], Eip),
}

/// The rules of a gateway, in both families.
#[must_use]
pub fn rules(setup: Setup) -> Vec<Rule> {
    let (web, web2) = (Host::Web, Host::Web2);
    let mut all = vec![
        Rule::Fip(Eip::Fip, web),
        Rule::Dnat("http", Eip::Ports, "tcp", "8080", web2, "80"),
        Rule::Dnat("dns", Eip::Ports, "udp", "53", web2, "53"),
        Rule::Dnat("shifted", Eip::Ports, "udp", "8000-8099", web2, "9000-9099"),
        Rule::Dnat(
            "range",
            Eip::Ports,
            "tcp",
            "20000-20999",
            web2,
            "20000-20999",
        ),
        Rule::Dnat("ssh", Eip::Ports, "tcp", "22", web, "22"),
        Rule::Snat("subnet", ["10.244.0.0/24", "fd00:10:244::/80"], Eip::Source),
        Rule::Snat("own", ["10.244.0.6/32", "fd00:10:244::6/128"], Eip::Own),
    ];
    match setup {
        Setup::Usual => {}
        Setup::TwoUplinks => all.extend([
            Rule::Fip(Eip::Second, Host::Other),
            Rule::Dnat("http2", Eip::SecondPorts, "tcp", "8080", web2, "80"),
            Rule::Snat(
                "second",
                ["10.244.8.0/24", "fd00:10:244:0:8::/80"],
                Eip::SecondPorts,
            ),
        ]),
        Setup::Overlap => all.push(Rule::Fip(Eip::Twin, Host::Twin)),
    }
    all
}

/// The gateway's entries for a family, as its config holds them.
#[must_use]
pub fn entries(setup: Setup, family: Family) -> Vec<String> {
    let address = |eip: &Eip| {
        let (name, at, uplink) = (eip.name(), eip.address(family), eip.uplink());
        format!("addr {name} 1 {at} {uplink}")
    };
    let rule = |rule: Rule| match rule {
        Rule::Fip(eip, host) => {
            let (name, at, to) = (eip.name(), eip.address(family), host.address(family));
            format!("fip {name} 1 {at} {to} both")
        }
        Rule::Dnat(name, eip, protocol, outer, host, inner) => {
            let (at, to) = (eip.address(family), host.address(family));
            format!("dnat {name} 1 {at} {protocol} {outer} {to} {inner}")
        }
        Rule::Snat(name, [v4, v6], eip) => {
            let source = if family == Family::V4 { v4 } else { v6 };
            format!("snat {name} 1 {source} {}", eip.address(family))
        }
    };
    let addresses = Eip::of(setup).iter().map(address).collect::<Vec<_>>();
    addresses
        .into_iter()
        .chain(rules(setup).into_iter().map(rule))
        .collect()
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
            // The host behind both routers is one.
            let hosts = Host::ALL.into_iter().filter(|host| *host != Host::Far2);
            let hosts = hosts.map(|host| host.address(family)).collect::<Vec<_>>();
            let eips: std::collections::BTreeSet<Eip> =
                Setup::ALL.into_iter().flat_map(Eip::of).collect();
            let eips = eips.iter().map(|eip| eip.address(family)).collect();
            let own = [Own::Lan, Own::Uplink, Own::Second, Own::Pod];
            let own = own.map(|own| own.address(family));
            let all: Vec<IpAddr> = [hosts, eips, own.to_vec()].concat();
            assert!(all.iter().all(|a| a.is_ipv4() == (family == Family::V4)));
            let once: std::collections::BTreeSet<_> = all.iter().collect();
            assert_eq!(once.len(), all.len());
        }
    }
}
