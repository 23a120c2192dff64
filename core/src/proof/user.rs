//! What users ask, and what they change their minds about.

use sluice_crds::names::ANNOTATION_DECLARE_DEAD;

use super::world::{GATEWAYS, LANS, World};
use crate::operator::event::{Key, Kind, Object};
use crate::operator::tests::objects::{dnat, eip_with, fip, from, gateway, key};

/// Names of EIPs; their rules are named after them.
pub const EIPS: [&str; 3] = ["a", "b", "c"];

/// What a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// An EIP of one family, or of both.
    Eip(usize, bool),
    Fip(usize),
    Dnat(usize, u16),
    /// The FIP gets another target.
    Retarget(usize, u8),
    /// The EIP goes to a gateway.
    Move(usize, usize),
    DropEip(usize),
    DropFip(usize),
    DropDnat(usize, u16),
    DropGateway(usize),
    Gateway(usize),
    DropPool,
    Pool,
}

/// Three addresses of IPv4 and four of IPv6.
pub fn pool() -> Object {
    let pool: sluice_crds::EIPPool = from(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "EIPPool",
        "metadata": {"name": "external"},
        "spec": {"cooldown": "1s", "subnets": [
            {"cidr": "10.155.30.0/24", "gateway": "10.155.30.1", "ranges": ["10.155.30.200-10.155.30.202"]},
            {"cidr": "2001:db8:1::/64", "gateway": "2001:db8:1::1", "ranges": ["2001:db8:1::e:0/126"]},
        ]},
    }));
    Object::EIPPool(pool)
}

/// A FIP of IPv4, which every EIP has.
fn fip_to(n: usize, host: u8) -> Object {
    let mut object = fip("tenants", EIPS[n], EIPS[n], host);
    if let Object::FIP(fip) = &mut object {
        fip.spec.target.ips.truncate(1);
    }
    object
}

/// A DNAT's name.
pub fn dnat_name(n: usize, port: u16) -> String {
    format!("{}-{port}", EIPS[n])
}

impl World {
    /// A user does something; whether that changed anything.
    pub fn wish(&mut self, wish: Wish) -> bool {
        self.server.clock += 1;
        let drop = |kind, name: &str| -> (Kind, Key) { (kind, key("tenants", name)) };
        let gone = match wish {
            Wish::Eip(n, both) => {
                let policy = match both {
                    true => "RequireDualStack",
                    false => "SingleStack",
                };
                let more = serde_json::json!({"ipFamilyPolicy": policy});
                let new = eip_with("tenants", EIPS[n], GATEWAYS[n / 2], more);
                return self.server.create(new);
            }
            Wish::Fip(n) => return self.server.create(fip_to(n, 5)),
            Wish::Dnat(n, port) => {
                let name = dnat_name(n, port);
                let new = dnat("tenants", &name, EIPS[n], &port.to_string());
                return self.server.create(new);
            }
            Wish::Retarget(n, host) => {
                let slot = (Kind::FIP, None, key("tenants", EIPS[n]));
                return self.server.change(&slot, true, |o| {
                    if let (Object::FIP(fip), Object::FIP(new)) = (o, fip_to(n, host)) {
                        fip.spec.target = new.spec.target;
                    }
                });
            }
            Wish::Move(n, to) => {
                let slot = (Kind::EIP, None, key("tenants", EIPS[n]));
                let moved = self.server.change(&slot, true, |o| {
                    if let Object::EIP(eip) = o {
                        eip.spec.gateway.name = GATEWAYS[to].to_owned();
                    }
                });
                if moved {
                    self.sometimes("an EIP is moved");
                }
                return moved;
            }
            Wish::Gateway(n) => {
                return self.server.create(gateway("net", GATEWAYS[n], LANS[n]));
            }
            Wish::Pool => return self.server.create(pool()),
            Wish::DropEip(n) => drop(Kind::EIP, EIPS[n]),
            Wish::DropFip(n) => drop(Kind::FIP, EIPS[n]),
            Wish::DropDnat(n, port) => drop(Kind::DNAT, &dnat_name(n, port)),
            Wish::DropGateway(n) => (Kind::NATGateway, key("net", GATEWAYS[n])),
            Wish::DropPool => (Kind::EIPPool, key("", "external")),
        };
        self.server.delete(&(gone.0, None, gone.1))
    }

    /// A person declares an instance dead, or takes that back.
    pub fn declare_dead(&mut self, gateway: &Key, instance: Option<&str>) -> bool {
        let slot = (Kind::NATGateway, None, gateway.clone());
        self.server.change(&slot, false, |o| {
            if let Object::NATGateway(gateway) = o {
                let all = gateway.metadata.annotations.get_or_insert_default();
                match instance {
                    Some(instance) => {
                        all.insert(ANNOTATION_DECLARE_DEAD.to_owned(), instance.to_owned());
                    }
                    None => {
                        all.remove(ANNOTATION_DECLARE_DEAD);
                    }
                }
                if all.is_empty() {
                    gateway.metadata.annotations = None;
                }
            }
        })
    }
}
