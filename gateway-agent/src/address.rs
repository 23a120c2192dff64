//! Addresses in logs: one record for both families, both keys always there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sluice_core::config::Snapshot;
use sluice_core::entry::Body;
use sluice_core::identity::Uid;

/// The values of the keys `ipv4` and `ipv6`; empty where there is none.
#[must_use]
pub fn pair(addresses: &[IpAddr]) -> (String, String) {
    let family = |is_v4: bool| {
        let of_family = addresses.iter().filter(|a| a.is_ipv4() == is_v4);
        of_family
            .map(IpAddr::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    (family(true), family(false))
}

/// The addresses of a config by the EIP that asked for them.
#[must_use]
pub fn by_owner(snapshot: &Snapshot) -> BTreeMap<Uid, Vec<IpAddr>> {
    let mut owners: BTreeMap<Uid, Vec<IpAddr>> = BTreeMap::new();
    for entry in &snapshot.entries {
        match &entry.body {
            Body::Addr { address, .. } => {
                owners.entry(entry.uid.clone()).or_default().push(*address);
            }
            Body::Fip { .. } | Body::Dnat { .. } | Body::Snat { .. } => {}
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_under_the_key_of_its_family() {
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(pair(&[v6, v4]), ("192.0.2.1".into(), "2001:db8::1".into()));
        assert_eq!(pair(&[v6]), (String::new(), "2001:db8::1".into()));
        assert_eq!(pair(&[v4]), ("192.0.2.1".into(), String::new()));
    }
}
