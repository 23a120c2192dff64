//! A second outside network of the same gateway, and the same client on it.
//!
//! ```text
//! client (10.155.30.9, .1) - ext  - [eth1 gw]
//! client (10.155.40.9, .1) - ext2 - [eth2 gw]
//! ```
//! The same with 2001:db8:1::/64 and 2001:db8:3::/64. The client's addresses beyond them
//! (198.51.100.9, 2001:db8:2::9) are reached by both.

use sluice_crds::internal::{ConfigSettings, ConfigSubnet, ConfigUplink};

use super::{Net, ip, output, settings, sysctl};

impl Net {
    /// The same with a second outside network.
    pub fn with_two_uplinks() -> Self {
        let net = Self::new();
        let (sw, client, gw) = (&net.switch, &net.client, &net.gw);
        ip(&format!(
            "-n {sw} link add ext2 type bridge mcast_snooping 0"
        ));
        ip(&format!("-n {sw} link set ext2 up"));
        for (port, host, interface, mac) in [
            ("q1", client, "eth1", "02:00:00:00:00:31"),
            ("q2", gw, "eth2", "02:00:00:00:00:32"),
        ] {
            ip(&format!(
                "-n {sw} link add {port} type veth peer name {interface} address {mac} netns {host}"
            ));
            ip(&format!("-n {sw} link set {port} master ext2 up"));
            ip(&format!("-n {host} link set {interface} up"));
        }
        for (host, interface, list) in [
            (
                client,
                "eth1",
                "10.155.40.9/24 10.155.40.1/24 2001:db8:3::1/64 2001:db8:3::9/64",
            ),
            (gw, "eth2", "10.155.40.2/24 2001:db8:3::2/64"),
        ] {
            for address in list.split(' ') {
                let nodad = if address.contains(':') { "nodad" } else { "" };
                ip(&format!(
                    "-n {host} address add {address} dev {interface} {nodad}"
                ));
            }
        }
        // Each interface of the client speaks for its own addresses only, so that what
        // comes in by one was sent to it.
        sysctl(client, "ipv4/conf/all/arp_ignore", "1");
        sysctl(client, "ipv4/conf/all/arp_announce", "2");
        net
    }

    /// Counts what the client receives, by interface and source.
    pub fn count_arrivals(&self) {
        for command in [
            "add table inet arrivals",
            "add set inet arrivals seen4 { type ifname . ipv4_addr ; flags dynamic ; size 65535 ; }",
            "add set inet arrivals seen6 { type ifname . ipv6_addr ; flags dynamic ; size 65535 ; }",
            "add chain inet arrivals packets { type filter hook prerouting priority -400 ; }",
            "add rule inet arrivals packets update @seen4 { iifname . ip saddr }",
            "add rule inet arrivals packets update @seen6 { iifname . ip6 saddr }",
        ] {
            let out = output(&self.client, &format!("nft {command}"));
            assert!(out.is_empty(), "{command}: {out}");
        }
    }

    /// The interfaces by which anything came to the client from an address.
    pub fn arrivals(&self, source: &str) -> Vec<String> {
        let set = if source.contains(':') {
            "seen6"
        } else {
            "seen4"
        };
        let list = output(&self.client, &format!("nft list set inet arrivals {set}"));
        let flat = list.replace(['\n', '\t'], " ");
        let elements = flat.split(['{', ',', '}']).map(str::trim);
        let mut found: Vec<String> = elements
            .filter_map(|element| {
                let (interface, from) = element.split_once(" . ")?;
                (from == source).then(|| interface.trim_matches('"').to_owned())
            })
            .collect();
        found.sort();
        found
    }

    /// Everything that came from inside addresses untranslated.
    pub fn untranslated(&self) -> Vec<String> {
        let lists = ["seen4", "seen6"]
            .map(|set| output(&self.client, &format!("nft list set inet arrivals {set}")));
        let words = lists.iter().flat_map(|list| list.split(['{', ',', '}']));
        words
            .map(|word| word.trim().to_owned())
            .filter(|word| word.contains(". 10.244.") || word.contains(". fd00:10:244:"))
            .collect()
    }
}

/// Settings of a gateway with both uplinks: `external` and `second`.
pub fn two_uplinks() -> ConfigSettings {
    let subnet = |cidr: &str, gateway: &str| ConfigSubnet {
        cidr: cidr.into(),
        gateway: Some(gateway.into()),
    };
    let mut both = settings();
    both.uplinks.push(ConfigUplink {
        name: "second".into(),
        interface: "eth2".into(),
        subnets: vec![
            subnet("10.155.40.0/24", "10.155.40.1"),
            subnet("2001:db8:3::/64", "2001:db8:3::1"),
        ],
        ipv4: None,
        ipv6: None,
    });
    both
}
