//! Which class of traffic the packets of each EIP belong to.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nfnetlink::nftables::{Element, Field, Value};
use sluice_core::entry::{Body, Entry};
use sluice_crds::user::Rate;

use super::entries::taken;
use super::{Work, family};
use crate::kernel::ruleset::{Origin, SHAPE_IN, SHAPE_OUT};
use crate::kernel::shaping::{self, CLASSES, Limit, Numbers};

impl Work<'_> {
    /// Makes the elements and the classes for all limits.
    pub(super) fn limits(&mut self, entries: &[&Entry]) {
        let limits = |entry: &&Entry| matches!(entry.body, Body::Shape { .. });
        if !entries.iter().any(limits) {
            return;
        }
        let mut numbers = Numbers::default();
        for (origin, entry) in entries.iter().enumerate() {
            let Body::Shape {
                address,
                ingress,
                egress,
            } = entry.body
            else {
                continue;
            };
            // Also that of a refused entry: it must not pass to another.
            let number = numbers.of(&entry.uid);
            if self.rejected.contains_key(&origin) {
                continue;
            }
            let limited = match number {
                Some(number) => self.limit(address, number, [ingress, egress], origin),
                None => Err(format!(
                    "bandwidth: a gateway limits {CLASSES} EIPs, and older ones are as many: take \
                     spec.bandwidth out, or use another gateway"
                )),
            };
            if let Err(reason) = limited {
                self.rejected.insert(origin, reason);
            }
        }
    }

    fn limit(
        &mut self,
        address: IpAddr,
        number: u16,
        [ingress, egress]: [Option<Rate>; 2],
        origin: Origin,
    ) -> Result<(), String> {
        let uplink = self
            .addresses
            .get(&address)
            .and_then(|index| self.settings.uplinks.get(*index));
        let uplink = uplink.ok_or_else(|| format!("address {address} is not on this gateway"))?;
        let directions = [
            (SHAPE_IN, &self.settings.lan, ingress),
            (SHAPE_OUT, &uplink.interface, egress),
        ];
        for (_, interface, rate) in directions {
            let stands = self.shaping.0.get(interface).and_then(|c| c.get(&number));
            let other = stands.filter(|limit| Some(limit.rate) != rate);
            if let Some(by) = other.and_then(|limit| limit.origins.first()) {
                return Err(format!(
                    "its rates are not those of entry {by} of the same EIP"
                ));
            }
        }
        let ip = family(address);
        for (stem, interface, rate) in directions {
            let Some(rate) = rate else { continue };
            let class = Value::u32(shaping::handle(number));
            self.inet
                .map(ip.name(stem), &[ip.field()], &[Field::CLASSID])
                .put(Element::map(address, class), Some(origin))
                .map_err(|by| taken(&format!("address {address}"), by))?;
            let classes = self.shaping.0.entry(interface.clone()).or_default();
            let limit = classes.entry(number).or_insert(Limit {
                rate,
                origins: BTreeSet::new(),
            });
            limit.origins.insert(origin);
        }
        Ok(())
    }
}
