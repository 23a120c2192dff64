//! From entries to elements.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use nfnetlink::nftables::{Element, Family, Field, Set, Value, Verdict};
use sluice_core::entry::{Body, Entry};
use sluice_crds::user::{Ports, Protocol};

use super::chains::{self, SourceMap};
use super::statement::{Ip, SourceKey, TCP, UDP};
use super::{Contents, FROM_INSIDE, HOLDER, Origin, Ruleset, STAMP, STANDBY, StampField, empty};
use crate::kernel::report::{KernelOptions, Stamp};
use crate::kernel::settings::{Settings, unfit};

/// Identity ranges up to this many ports become exact elements, longer ones a range.
const EXPAND_PORTS: u32 = 64;
/// Ports that all ranges that shift may have together, per gateway.
const EXPANDED_MAX: u32 = 65_536;
/// Slots of a prefix whose sources share several EIPs.
const POOL_SLOTS: u32 = 64;

/// The rules for a config, and what could not be put into them.
#[derive(Clone, Debug)]
pub struct Built {
    /// Both tables.
    pub ruleset: Ruleset,
    /// The addresses that the instance answers for when it holds, with their uplink's index.
    pub addresses: BTreeMap<IpAddr, usize>,
    /// Entries that are not in the rules, by index, and why.
    pub rejected: BTreeMap<Origin, String>,
    address_origins: BTreeMap<IpAddr, Origin>,
}

/// Which entry each element was made for.
#[derive(Clone, Debug)]
pub struct Origins {
    inet: Contents,
    arp: Contents,
}

impl Origins {
    /// The entry that an element was made for.
    pub fn of(&self, family: Family, set: &str, key: &Value) -> Option<Origin> {
        match family {
            Family::Arp => self.arp.origin(set, key),
            _ => self.inet.origin(set, key),
        }
    }
}

impl Built {
    /// The entry that an address was asked for by.
    pub fn address_origin(&self, address: IpAddr) -> Option<Origin> {
        self.address_origins.get(&address).copied()
    }
}

/// Builds the rules for entries. `refused` are entries, by index, that the kernel does not
/// take: they are left out with all that needs them.
pub fn build(
    settings: &Settings,
    entries: &[Entry],
    options: &KernelOptions,
    stamp: &Stamp,
    refused: &BTreeMap<Origin, String>,
) -> Built {
    work(settings, entries, options, stamp, refused).finish(options)
}

/// Which entries [`build`] with the same arguments makes the elements for. Worked out anew,
/// because it is asked for only when the kernel refuses something.
pub fn origins(
    settings: &Settings,
    entries: &[Entry],
    options: &KernelOptions,
    stamp: &Stamp,
    refused: &BTreeMap<Origin, String>,
) -> Origins {
    let work = work(settings, entries, options, stamp, refused);
    Origins {
        inet: work.inet,
        arp: work.arp,
    }
}

fn work<'a>(
    settings: &'a Settings,
    entries: &[Entry],
    options: &KernelOptions,
    stamp: &Stamp,
    refused: &BTreeMap<Origin, String>,
) -> Work<'a> {
    let mut work = Work {
        settings,
        inet: Contents::default(),
        arp: Contents::default(),
        addresses: BTreeMap::new(),
        origins: BTreeMap::new(),
        rejected: refused.clone(),
        fips: BTreeSet::new(),
        pools: BTreeMap::new(),
        expanded: 0,
    };
    work.declare();
    work.place(options, stamp);
    work.entries(entries);
    work.answers(stamp.holding);
    work
}

struct Work<'a> {
    settings: &'a Settings,
    inet: Contents,
    arp: Contents,
    addresses: BTreeMap<IpAddr, usize>,
    origins: BTreeMap<IpAddr, Origin>,
    rejected: BTreeMap<Origin, String>,
    fips: BTreeSet<IpAddr>,
    pools: BTreeMap<IpNet, Vec<(IpAddr, u8, Origin)>>,
    expanded: u32,
}

/// Why an entry is not in the rules.
type Rejection = String;

impl Work<'_> {
    fn declare(&mut self) {
        for ip in Ip::BOTH {
            let (addr, proto, port) = (ip.field(), Field::INET_PROTO, Field::INET_SERVICE);
            let ranged = [addr, proto, port];
            for name in ["own", "pod"] {
                self.inet.set(ip.name(name), &[addr]);
            }
            self.inet.map(ip.name("fipin"), &[addr], &[addr]);
            self.inet.map(ip.name("fipout"), &[addr], &[addr]);
            self.inet.map(ip.name("fipmark"), &[addr], &[Field::MARK]);
            self.inet.map(ip.name("dnat"), &ranged, &[addr, port]);
            self.inet.map(ip.name("any"), &[addr, proto], &[addr]);
            let range = Set::map(ip.name("range"), &ranged, &[addr]).with_intervals(&ranged);
            self.inet.declare(range);
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
    fn place(&mut self, options: &KernelOptions, stamp: &Stamp) {
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

    fn entries(&mut self, entries: &[Entry]) {
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
            Body::Dnat {
                address,
                protocol,
                ports,
                inside,
                inside_ports,
            } => {
                let protocol = match protocol {
                    Protocol::TCP => TCP,
                    Protocol::UDP => UDP,
                };
                self.dnat(*address, protocol, (*ports, *inside_ports), *inside, origin)
            }
            Body::Snat { source, address } => {
                let uplink = self.uplink_of(*address)?;
                if source.prefix_len() == 0 {
                    return Err(format!(
                        "source {source} is everything: name the inside subnets"
                    ));
                }
                let pool = self.pools.entry(*source).or_default();
                pool.push((*address, uplink, origin));
                Ok(())
            }
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
    fn uplink_of(&self, address: IpAddr) -> Result<u8, Rejection> {
        self.addresses
            .get(&address)
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

    fn dnat(
        &mut self,
        address: IpAddr,
        protocol: u8,
        (ports, inside_ports): (Ports, Ports),
        inside: IpAddr,
        origin: Origin,
    ) -> Result<(), Rejection> {
        self.uplink_of(address)?;
        if let Some(reason) = unfit(inside) {
            return Err(format!("inside address {inside} {reason}"));
        }
        if self.fips.contains(&address) {
            return Err(format!(
                "address {address} has a FIP, which takes all its ports"
            ));
        }
        let ip = family(address);
        let addr = ip.field();
        let key = [addr, Field::INET_PROTO, Field::INET_SERVICE];
        let at =
            |port: u16| Value::concat([address.into(), Value::u8(protocol), Value::port(port)]);
        let same = ports == inside_ports;
        if same && ports.first() == 1 && ports.last() == u16::MAX {
            let key = Value::concat([address.into(), Value::u8(protocol)]);
            return self
                .inet
                .map(ip.name("any"), &[addr, Field::INET_PROTO], &[addr])
                .put(Element::map(key, inside), Some(origin))
                .map_err(|by| taken(&format!("address {address}"), by));
        }
        if same && ports.count() > EXPAND_PORTS {
            let data = nfnetlink::nftables::Data::Value(inside.into());
            let (first, last) = (at(ports.first()), at(ports.last()));
            let element = Element::concat_range(first, last, Some(data));
            let range = Set::map(ip.name("range"), &key, &[addr]).with_intervals(&key);
            return self
                .inet
                .declare(range)
                .put(element, Some(origin))
                .map_err(|by| taken(&format!("ports {ports} of {address}"), by));
        }
        if ports.count() > 1 {
            let all = self.expanded.saturating_add(ports.count());
            if all > EXPANDED_MAX {
                return Err(format!(
                    "ports {ports} need one element each, and a gateway takes {EXPANDED_MAX}: \
                     forward to the same ports, or use fewer"
                ));
            }
            self.expanded = all;
        }
        let map = self
            .inet
            .map(ip.name("dnat"), &key, &[addr, Field::INET_SERVICE]);
        let pairs = (ports.first()..=ports.last()).zip(inside_ports.first()..=inside_ports.last());
        for (port, inside_port) in pairs {
            let data = Value::concat([inside.into(), Value::port(inside_port)]);
            map.put(Element::map(at(port), data), Some(origin))
                .map_err(|by| taken(&format!("port {port} of {address}"), by))?;
        }
        Ok(())
    }

    fn sources(&mut self) {
        for (source, pool) in std::mem::take(&mut self.pools) {
            let ip = family(source.addr());
            let shared = pool.len() > 1;
            let (snat, mark) = source_names(ip, source.prefix_len(), shared);
            let key = if shared {
                vec![ip.field(), Field::MARK]
            } else {
                vec![ip.field()]
            };
            let slots = if shared { POOL_SLOTS } else { 1 };
            let mut members = pool.iter().cycle();
            for slot in 0..slots {
                let Some((address, uplink, origin)) = members.next() else {
                    break;
                };
                let base: Value = source.addr().into();
                let at = if shared {
                    Value::concat([base, Value::u32(slot)])
                } else {
                    base
                };
                let value = FROM_INSIDE | u32::from(*uplink);
                self.inet
                    .map(snat.clone(), &key, &[ip.field()])
                    .replace(Element::map(at.clone(), *address), Some(*origin));
                self.inet
                    .map(mark.clone(), &key, &[Field::MARK])
                    .replace(Element::map(at, Value::u32(value)), Some(*origin));
            }
        }
    }

    /// On which interface each address may be answered for.
    fn answers(&mut self, holding: bool) {
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

    fn finish(self, options: &KernelOptions) -> Built {
        let mut sources = Vec::new();
        for ip in Ip::BOTH {
            let longest = match ip {
                Ip::V4 => 32,
                Ip::V6 => 128,
            };
            for len in (1..=longest).rev() {
                for shared in [false, true] {
                    let (snat, mark) = source_names(ip, len, shared);
                    if self.inet.has(&snat) {
                        let key = SourceKey {
                            mask: (len < longest).then(|| mask(ip, len)),
                            slots: shared.then_some(POOL_SLOTS),
                        };
                        sources.push(SourceMap {
                            ip,
                            key,
                            snat,
                            mark,
                        });
                    }
                }
            }
        }
        let mut inet = empty(Family::Inet, options);
        inet.sets = self.inet.finish();
        chains::inet(&mut inet, self.settings, options, &sources);
        let mut arp = empty(Family::Arp, options);
        arp.sets = self.arp.finish();
        chains::arp(&mut arp);
        Built {
            ruleset: Ruleset {
                inet: inet.into(),
                arp: arp.into(),
            },
            addresses: self.addresses,
            rejected: self.rejected,
            address_origins: self.origins,
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

/// Names of the maps from a source to its EIP and to its mark.
fn source_names(ip: Ip, len: u8, shared: bool) -> (String, String) {
    let stem = if shared { "pool" } else { "snat" };
    let name = ip.name(stem);
    (format!("{name}_{len}"), format!("{name}_{len}_mark"))
}

fn mask(ip: Ip, len: u8) -> Value {
    let len = u32::from(len);
    match ip {
        Ip::V4 => Value(
            (u32::MAX << 32_u32.saturating_sub(len).min(31))
                .to_be_bytes()
                .to_vec(),
        ),
        Ip::V6 => Value(
            (u128::MAX << 128_u32.saturating_sub(len).min(127))
                .to_be_bytes()
                .to_vec(),
        ),
    }
}

fn taken(what: &str, by: Option<Origin>) -> Rejection {
    match by {
        Some(by) => format!("{what} is taken by entry {by}"),
        None => format!("{what} is taken"),
    }
}

/// The family of an address.
pub fn family(address: IpAddr) -> Ip {
    match address {
        IpAddr::V4(_) => Ip::V4,
        IpAddr::V6(_) => Ip::V6,
    }
}
