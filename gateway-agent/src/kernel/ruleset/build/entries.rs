//! What there is per entry: an element or some in the maps that translate.

use std::net::IpAddr;
use std::num::NonZeroU16;

use nfnetlink::nftables::{Element, Field, Value};
use sluice_core::entry::{Body, Entry};

use super::pool::Member;
use super::{Work, family};
use crate::kernel::ruleset::{FROM_INSIDE, Origin};
use crate::kernel::settings::unfit;

/// Why an entry is not in the rules.
type Rejection = String;

impl Work<'_> {
    pub(super) fn entries(&mut self, entries: &[&Entry]) {
        // Addresses first: rules need them. Then FIPs, which take the whole address.
        let order: [fn(&Body) -> bool; 3] = [
            |body| matches!(body, Body::Addr { .. }),
            |body| matches!(body, Body::Fip { .. }),
            |body| matches!(body, Body::Dnat { .. } | Body::Snat { .. }),
        ];
        for wanted in order {
            for (origin, entry) in entries.iter().enumerate() {
                if !wanted(&entry.body) || self.rejected.contains_key(&origin) {
                    continue;
                }
                if let Err(reason) = self.entry(&entry.body, origin) {
                    self.rejected.insert(origin, reason);
                }
            }
        }
        self.sources();
    }

    fn entry(&mut self, body: &Body, origin: Origin) -> Result<(), Rejection> {
        match body {
            Body::Addr { address, uplink } => self.address(*address, uplink, origin),
            Body::Fip {
                address,
                inside,
                source,
            } => self.fip(*address, *inside, *source, origin),
            Body::Dnat { .. } => self.forward(body, origin),
            Body::Snat {
                source,
                address,
                per_source,
            } => {
                let uplink = self.uplink_of(*address)?;
                if source.prefix_len() == 0 {
                    return Err(format!(
                        "source {source} is everything: name the inside subnets"
                    ));
                }
                let pool = self.pools.entry(*source).or_default();
                pool.push(Member {
                    address: *address,
                    uplink,
                    limit: per_source.map_or(0, NonZeroU16::get),
                    origin,
                });
                Ok(())
            }
            // Theirs are made when all addresses are known: [`Work::limits`].
            Body::Shape { .. } => Ok(()),
        }
    }

    fn address(&mut self, address: IpAddr, uplink: &str, origin: Origin) -> Result<(), Rejection> {
        if let Some(reason) = unfit(address) {
            return Err(format!("address {address} {reason}"));
        }
        let uplinks = self.settings.uplinks.iter();
        let index = uplinks.clone().position(|u| u.name == uplink);
        let index = index.ok_or_else(|| {
            let names: Vec<&str> = uplinks.map(|u| u.name.as_str()).collect();
            format!(
                "uplink {uplink} is not one of the gateway's: {}",
                names.join(", ")
            )
        })?;
        if let Some(by) = self.origins.get(&address) {
            return Err(format!("address {address} is taken by entry {by}"));
        }
        self.addresses.insert(address, index);
        self.origins.insert(address, origin);
        let ip = family(address);
        self.inet
            .set(ip.name("own"), &[ip.field()])
            .replace(Element::key(address), Some(origin));
        Ok(())
    }

    /// The number of the uplink that the address stands on.
    pub(super) fn uplink_of(&self, address: IpAddr) -> Result<u8, Rejection> {
        self.addresses
            .get(&address)
            .or_else(|| self.around.get(&address))
            .and_then(|index| self.settings.uplinks.get(*index))
            .map(|uplink| uplink.number)
            .ok_or_else(|| format!("address {address} is not on this gateway"))
    }

    fn fip(
        &mut self,
        address: IpAddr,
        inside: IpAddr,
        source: bool,
        origin: Origin,
    ) -> Result<(), Rejection> {
        let uplink = self.uplink_of(address)?;
        if let Some(reason) = unfit(inside) {
            return Err(format!("inside address {inside} {reason}"));
        }
        let ip = family(address);
        let addr = [ip.field()];
        let element = Element::map(address, inside);
        self.inet
            .map(ip.name("fipin"), &addr, &addr)
            .put(element, Some(origin))
            .map_err(|by| taken(&format!("address {address}"), by))?;
        self.fips.insert(address);
        if source {
            let element = Element::map(inside, address);
            self.inet
                .map(ip.name("fipout"), &addr, &addr)
                .put(element, Some(origin))
                .map_err(|by| taken(&format!("source {inside}"), by))?;
            let mark = FROM_INSIDE | u32::from(uplink);
            self.inet
                .map(ip.name("fipmark"), &addr, &[Field::MARK])
                .replace(Element::map(inside, Value::u32(mark)), Some(origin));
        }
        Ok(())
    }
}

pub(super) fn taken(what: &str, by: Option<Origin>) -> Rejection {
    match by {
        Some(by) => format!("{what} is taken by entry {by}"),
        None => format!("{what} is taken"),
    }
}
