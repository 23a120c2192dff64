//! What there is per gateway: sets, interfaces, the paths between them, the stamp, and which
//! interface answers for which address.

use std::net::IpAddr;

use nfnetlink::nftables::{Element, Field, Set, Value, Verdict};
use sluice_core::entry::cost::Form;

use super::forward::forward_set;
use super::{Work, family};
use crate::kernel::report::{KernelOptions, Stamp};
use crate::kernel::ruleset::chains;
use crate::kernel::ruleset::statement::Ip;
use crate::kernel::ruleset::{HOLDER, Origin, STAMP, STANDBY, StampField};

impl Work<'_> {
    pub(super) fn declare(&mut self) {
        for ip in Ip::BOTH {
            let addr = ip.field();
            for name in ["own", "pod"] {
                self.inet.set(ip.name(name), &[addr]);
            }
            self.inet.map(ip.name("fipin"), &[addr], &[addr]);
            self.inet.map(ip.name("fipout"), &[addr], &[addr]);
            self.inet.map(ip.name("fipmark"), &[addr], &[Field::MARK]);
            for form in [Form::Exact, Form::Range, Form::All] {
                self.inet.declare(forward_set(ip, form, false));
            }
        }
        for (ip, table) in [(Ip::V4, &mut self.arp), (Ip::V6, &mut self.inet)] {
            table.set(ip.name("held"), &[ip.field()]);
            table.set(ip.name("answers"), &[ip.field(), Field::IFNAME]);
        }
        self.inet.set("guarded".to_owned(), &[Field::IFNAME]);
        self.inet.set("uplinks".to_owned(), &[Field::IFNAME]);
        self.inet.set(STAMP.to_owned(), &[Field::MARK]);
        let paths = Set::verdict_map("paths", &[Field::IFNAME, Field::IFNAME]);
        self.inet.declare(paths);
        for (name, types) in [
            ("neighbour6", chains::NEIGHBOUR6.as_slice()),
            ("errors6", chains::ERRORS6.as_slice()),
            ("errors4", chains::ERRORS4.as_slice()),
        ] {
            let field = if name == "errors4" {
                ICMP_TYPE
            } else {
                ICMPV6_TYPE
            };
            let set = self.inet.set(name.to_owned(), &[field]);
            for kind in types {
                set.replace(Element::key(Value::u8(*kind)), None);
            }
        }
    }

    /// What there is per gateway: interfaces, the paths between them, the stamp.
    pub(super) fn place(&mut self, options: &KernelOptions, stamp: &Stamp) {
        let settings = self.settings;
        for interface in settings.interfaces() {
            let element = Element::key(Value::ifname(interface));
            self.inet
                .set("guarded".to_owned(), &[Field::IFNAME])
                .replace(element, None);
        }
        let lan = Value::ifname(&settings.lan);
        let mut paths = Vec::new();
        let inward = || Verdict::Jump("inward".to_owned());
        for uplink in &settings.uplinks {
            let name = Value::ifname(&uplink.interface);
            let element = Element::key(name.clone());
            self.inet
                .set("uplinks".to_owned(), &[Field::IFNAME])
                .replace(element, None);
            let outward = Value::concat([lan.clone(), name.clone()]);
            paths.push(Element::verdict(outward, Verdict::Accept));
            paths.push(Element::verdict(
                Value::concat([name, lan.clone()]),
                inward(),
            ));
        }
        paths.push(Element::verdict(
            Value::concat([lan.clone(), lan]),
            inward(),
        ));
        let map = Set::verdict_map("paths", &[Field::IFNAME, Field::IFNAME]);
        let map = self.inet.declare(map);
        // Who does not hold forwards nothing.
        for path in paths.into_iter().filter(|_| stamp.holding) {
            map.replace(path, None);
        }
        for address in &options.pod_addresses {
            let ip = family(*address);
            self.inet
                .set(ip.name("pod"), &[ip.field()])
                .replace(Element::key(*address), None);
            self.answer(*address, &options.pod_interface, true, None);
        }
        let set = self.inet.set(STAMP.to_owned(), &[Field::MARK]);
        let role = if stamp.holding { HOLDER } else { STANDBY };
        for (field, text) in [
            (StampField::Uid, stamp.revision.uid.as_str()),
            (
                StampField::Generation,
                &stamp.revision.generation.to_string(),
            ),
            (StampField::Digest, &stamp.digest),
            (StampField::Role, role),
        ] {
            let element = Element::key(Value::u32(field.number())).with_comment(text);
            set.replace(element, None);
        }
    }

    /// On which interface each address may be answered for.
    pub(super) fn answers(&mut self, holding: bool) {
        for next_hop in &self.settings.lan_addresses {
            let lan = self.settings.lan.clone();
            self.answer(next_hop.addr(), &lan, holding, None);
        }
        let addresses: Vec<(IpAddr, usize)> = self
            .addresses
            .iter()
            .map(|(a, index)| (*a, *index))
            .collect();
        for (address, index) in addresses {
            let origin = self.origins.get(&address).copied();
            if let Some(uplink) = self.settings.uplinks.get(index) {
                self.answer(address, &uplink.interface, holding, origin);
            }
        }
    }

    fn answer(&mut self, address: IpAddr, interface: &str, holding: bool, origin: Option<Origin>) {
        let ip = family(address);
        let table = match ip {
            Ip::V4 => &mut self.arp,
            Ip::V6 => &mut self.inet,
        };
        table
            .set(ip.name("held"), &[ip.field()])
            .replace(Element::key(address), origin);
        if holding {
            let key = Value::concat([address.into(), Value::ifname(interface)]);
            table
                .set(ip.name("answers"), &[ip.field(), Field::IFNAME])
                .replace(Element::key(key), origin);
        }
    }
}

/// nft's numbers of `icmp_type` and `icmpv6_type` (nftables `include/datatype.h`).
const ICMP_TYPE: Field = Field {
    id: 14,
    len: 1,
    order: nfnetlink::nftables::userdata::ByteOrder::Network,
};
const ICMPV6_TYPE: Field = Field {
    id: 29,
    ..ICMP_TYPE
};
