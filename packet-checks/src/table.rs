//! All checks of a family.

use std::net::IpAddr;

use crate::check::{At, Check, Flow};
use crate::plan::{Eip, Family, Host, Own};

mod changes;
mod errors;
mod guards;
mod hairpin;
mod neighbours;
mod overlap;
mod shapes;
mod sizes;
mod translate;
mod uplinks;

/// All checks of a family, each with flows of its own.
#[must_use]
pub fn checks(family: Family) -> Vec<Check> {
    let mut table = Table {
        family,
        port: 30_000,
        checks: Vec::new(),
    };
    translate::add(&mut table);
    errors::add(&mut table);
    hairpin::add(&mut table);
    guards::add(&mut table);
    neighbours::add(&mut table);
    shapes::add(&mut table);
    sizes::add(&mut table);
    changes::add(&mut table);
    uplinks::add(&mut table);
    overlap::add(&mut table);
    table.checks
}

/// A table in the making, and the addresses of its family.
struct Table {
    family: Family,
    port: u16,
    checks: Vec<Check>,
}

impl Table {
    /// A check whose flow has a port, or an echo identifier, of its own.
    fn check(&mut self, name: &'static str, write: impl FnOnce(&Self, Check, u16) -> Check) {
        self.port += 1;
        let check = write(self, Check::new(name, self.family), self.port);
        self.checks.push(check);
    }

    fn host(&self, host: Host) -> IpAddr {
        host.address(self.family)
    }

    fn eip(&self, eip: Eip) -> IpAddr {
        eip.address(self.family)
    }

    fn own(&self, own: Own) -> IpAddr {
        own.address(self.family)
    }

    fn at(&self, host: Host, port: u16) -> At {
        (self.host(host), port)
    }

    fn eip_at(&self, eip: Eip, port: u16) -> At {
        (self.eip(eip), port)
    }

    /// A flow from outside to an EIP's port, which leads to an inside host's.
    fn inward(&self, from: (Host, u16), eip: (Eip, u16), to: (Host, u16)) -> Flow {
        self.hairpin(from, self.host(from.0), eip, to)
    }

    /// A flow from an inside host, which shows an EIP outside.
    fn outward(&self, from: (Host, u16), eip: Eip, to: (Host, u16)) -> Flow {
        Flow {
            from: from.0,
            sent: (self.at(from.0, from.1), self.at(to.0, to.1)),
            to: to.0,
            seen: (self.eip_at(eip, from.1), self.at(to.0, to.1)),
        }
    }

    /// A flow to an EIP's port, which leads to an inside host's; `shown` is who seems to
    /// have sent it.
    fn hairpin(&self, from: (Host, u16), shown: IpAddr, eip: (Eip, u16), to: (Host, u16)) -> Flow {
        Flow {
            from: from.0,
            sent: (self.at(from.0, from.1), self.eip_at(eip.0, eip.1)),
            to: to.0,
            seen: ((shown, from.1), self.at(to.0, to.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_check_has_a_name_of_its_own_and_notices_something() {
        for family in Family::BOTH {
            let all = checks(family);
            let names: BTreeSet<_> = all.iter().map(|check| check.name).collect();
            assert_eq!(names.len(), all.len());
            for check in all {
                assert!(!check.notices.is_empty(), "{}", check.name);
                assert!(!check.steps.is_empty(), "{}", check.name);
            }
        }
    }
}
