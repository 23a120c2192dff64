//! Port forwarding: the elements of one DNAT.

use std::net::IpAddr;

use nfnetlink::nftables::{Data, Element, Field, Set, Value};
use sluice_core::entry::cost::{EXPANDED_MAX, Form};
use sluice_core::entry::{Body, SLOTS, Targets};
use sluice_crds::user::{Ports, Protocol};

use super::{Work, family};
use crate::kernel::ruleset::statement::{Ip, SCTP, TCP, UDP};
use crate::kernel::ruleset::{Origin, forward_map};
use crate::kernel::settings::unfit;

/// Where a DNAT's ports go.
struct Place<'a> {
    ip: Ip,
    form: Form,
    /// The EIP's address and the protocol.
    at: Value,
    targets: &'a Targets,
    origin: Origin,
}

impl Work<'_> {
    /// Puts a DNAT into the maps, all or nothing of what it may cost.
    pub(super) fn forward(&mut self, body: &Body, origin: Origin) -> Result<(), String> {
        let Body::Dnat {
            address,
            protocol,
            ports,
            targets,
            inside_ports,
        } = body
        else {
            return Ok(());
        };
        self.uplink_of(*address)?;
        for inside in targets.addresses() {
            if let Some(reason) = unfit(inside) {
                return Err(format!("inside address {inside} {reason}"));
            }
        }
        if self.fips.contains(address) {
            return Err(format!(
                "address {address} has a FIP, which takes all its ports"
            ));
        }
        let all = self.expanded.saturating_add(body.expanded());
        if all > EXPANDED_MAX {
            return Err(format!(
                "ports {ports} to {targets} need {} elements, and of the gateway's {EXPANDED_MAX} \
                 {} are taken: forward to the same ports, or use fewer ports or targets",
                body.expanded(),
                self.expanded
            ));
        }
        self.expanded = all;
        let protocol = match protocol {
            Protocol::TCP => TCP,
            Protocol::UDP => UDP,
            Protocol::SCTP => SCTP,
        };
        let place = Place {
            ip: family(*address),
            form: Form::of(*ports, *inside_ports, targets),
            at: Value::concat([(*address).into(), Value::u8(protocol)]),
            targets,
            origin,
        };
        let taken = |ports: Ports| {
            move |by: Option<Origin>| match by {
                Some(by) => format!("ports {ports} of {address} are taken by entry {by}"),
                None => format!("ports {ports} of {address} are taken"),
            }
        };
        if place.form != Form::Exact {
            return self.row(&place, *ports, None).map_err(taken(*ports));
        }
        let pairs = (ports.first()..=ports.last()).zip(inside_ports.first()..=inside_ports.last());
        for (port, inside_port) in pairs {
            let Some(port) = Ports::new(port, port) else {
                continue;
            };
            self.row(&place, port, Some(inside_port))
                .map_err(taken(port))?;
        }
        Ok(())
    }

    /// One port or one range: an element for the target, or one for each of the slots that
    /// several share. Slots that no connection is given name those that are drained: so the
    /// maps tell all whose connections go on.
    fn row(
        &mut self,
        place: &Place<'_>,
        ports: Ports,
        inside_port: Option<u16>,
    ) -> Result<(), Option<Origin>> {
        if let Some(inside) = place.targets.single() {
            return self.element(place, ports, None, (inside, inside_port));
        }
        let drained = (SLOTS..).zip(place.targets.drained());
        let drained = drained.map(|(slot, inside)| (slot, slot, inside));
        let live = if place.form == Form::Range {
            // The kernel takes long to put many elements into a map of ranges.
            place.targets.blocks()
        } else {
            let slots = place.targets.slots().into_iter();
            slots.map(|(slot, inside)| (slot, slot, inside)).collect()
        };
        for (first, last, inside) in live.into_iter().chain(drained) {
            self.element(place, ports, Some((first, last)), (inside, inside_port))?;
        }
        Ok(())
    }

    fn element(
        &mut self,
        place: &Place<'_>,
        ports: Ports,
        slots: Option<(u32, u32)>,
        (inside, inside_port): (IpAddr, Option<u16>),
    ) -> Result<(), Option<Origin>> {
        let key = |port: u16, slot: Option<u32>| {
            let port = (place.form != Form::All).then(|| Value::port(port));
            let parts = [Some(place.at.clone()), port, slot.map(Value::u32)];
            Value::concat(parts.into_iter().flatten())
        };
        let value = match inside_port {
            Some(port) => Value::concat([inside.into(), Value::port(port)]),
            None => inside.into(),
        };
        let element = match place.form {
            Form::All | Form::Exact => {
                Element::map(key(ports.first(), slots.map(|(first, _)| first)), value)
            }
            Form::Range => {
                let data = Some(Data::Value(value));
                let first = key(ports.first(), slots.map(|(first, _)| first));
                let last = key(ports.last(), slots.map(|(_, last)| last));
                Element::concat_range(first, last, data)
            }
        };
        self.inet
            .declare(forward_set(place.ip, place.form, slots.is_some()))
            .put(element, Some(place.origin))
    }
}

/// The empty map of DNATs of a form.
pub(super) fn forward_set(ip: Ip, form: Form, shared: bool) -> Set {
    let (addr, port) = (ip.field(), Field::INET_SERVICE);
    let mut key = vec![addr, Field::INET_PROTO];
    if form != Form::All {
        key.push(port);
    }
    if shared {
        key.push(Field::MARK);
    }
    let name = ip.name(forward_map(form, shared));
    match form {
        Form::Exact => Set::map(name, &key, &[addr, port]),
        Form::Range => Set::map(name, &key, &[addr]).with_intervals(&key),
        Form::All => Set::map(name, &key, &[addr]),
    }
}
