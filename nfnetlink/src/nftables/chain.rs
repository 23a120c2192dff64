//! Chains.

use std::collections::BTreeSet;

use super::{Family, TableId};
use crate::wire::{AttrMap, Attrs, WireError, Writer};

/// `enum nft_chain_attributes` (`linux/netfilter/nf_tables.h`).
pub(crate) const NFTA_CHAIN_TABLE: u16 = 1;
pub(crate) const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_CHAIN_USERDATA: u16 = 12;

/// `enum nft_hook_attributes` and `enum nft_devices_attributes`.
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_HOOK_DEV: u16 = 3;
const NFTA_HOOK_DEVS: u16 = 4;
const NFTA_DEVICE_NAME: u16 = 1;
const NFTA_DEVICE_PREFIX: u16 = 2;

/// `NF_DROP` and `NF_ACCEPT` (`linux/netfilter.h`).
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;

/// A chain without its rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chain {
    /// Its name, up to 255 bytes.
    pub name: String,
    /// Where it is hooked in; a regular chain is only jumped to.
    pub base: Option<BaseChain>,
    /// User data; see [`super::userdata`].
    pub userdata: Vec<u8>,
}

/// Where a chain is hooked in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseChain {
    /// What the chain is for.
    pub kind: ChainKind,
    /// The hook.
    pub hook: Hook,
    /// Order among the chains of the hook, lowest first.
    pub priority: i32,
    /// What happens to a packet that reaches the end.
    pub policy: Policy,
    /// Devices, for the netdev family and inet ingress only.
    pub devices: BTreeSet<String>,
}

/// Type of a base chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainKind {
    /// `filter`.
    Filter,
    /// `nat`: sees the first packet of each flow.
    Nat,
    /// `route`: routes again if the packet's mark or addresses changed.
    Route,
    /// A type that this crate does not know.
    Other(String),
}

impl ChainKind {
    /// The kernel's word.
    pub fn name(&self) -> &str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
            Self::Other(name) => name,
        }
    }
}

/// A hook (`enum nf_inet_hooks`, `enum nf_dev_hooks`, `linux/netfilter.h`;
/// `linux/netfilter_arp.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// After routing.
    Postrouting,
    /// As received from a device.
    Ingress,
    /// As handed to a device.
    Egress,
}

impl Hook {
    const ALL: [Self; 7] = [
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
        Self::Ingress,
        Self::Egress,
    ];

    /// The kernel's number of this hook in a family; `None` where the family lacks it.
    pub fn number(self, family: Family) -> Option<u32> {
        match (family, self) {
            (Family::Netdev, Self::Ingress) => Some(0),
            (Family::Netdev, Self::Egress) => Some(1),
            (Family::Netdev, _) => None,
            (Family::Arp, Self::Input) => Some(0),
            (Family::Arp, Self::Output) => Some(1),
            (Family::Arp, Self::Forward) => Some(2),
            (Family::Arp, _) => None,
            (Family::Inet, Self::Ingress) => Some(5),
            (_, Self::Ingress | Self::Egress) => None,
            (_, Self::Prerouting) => Some(0),
            (_, Self::Input) => Some(1),
            (_, Self::Forward) => Some(2),
            (_, Self::Output) => Some(3),
            (_, Self::Postrouting) => Some(4),
        }
    }

    fn from_number(family: Family, number: u32) -> Result<Self, WireError> {
        Self::ALL
            .into_iter()
            .find(|hook| hook.number(family) == Some(number))
            .ok_or(WireError::Value {
                attribute: "NFTA_HOOK_HOOKNUM",
                value: number.into(),
            })
    }

    /// The word that `nft` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// What happens at the end of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// The packet goes on.
    Accept,
    /// The packet is dropped.
    Drop,
}

impl Chain {
    /// A chain that is only jumped to.
    pub fn regular(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base: None,
            userdata: Vec::new(),
        }
    }

    /// A base chain without devices.
    pub fn base(
        name: impl Into<String>,
        kind: ChainKind,
        hook: Hook,
        priority: i32,
        policy: Policy,
    ) -> Self {
        Self {
            name: name.into(),
            base: Some(BaseChain {
                kind,
                hook,
                priority,
                policy,
                devices: BTreeSet::new(),
            }),
            userdata: Vec::new(),
        }
    }

    /// The same base chain on these devices (netdev family, inet ingress).
    pub fn on_devices<I: IntoIterator<Item: Into<String>>>(mut self, devices: I) -> Self {
        if let Some(base) = &mut self.base {
            base.devices = devices.into_iter().map(Into::into).collect();
        }
        self
    }

    pub(crate) fn write(&self, table: &TableId, w: &mut Writer) {
        w.put_text(NFTA_CHAIN_TABLE, &table.name);
        w.put_text(NFTA_CHAIN_NAME, &self.name);
        if let Some(base) = &self.base {
            w.put_text(NFTA_CHAIN_TYPE, base.kind.name());
            w.nest(NFTA_CHAIN_HOOK, |w| base.write_hook(table.family, w));
            w.put_u32_be(
                NFTA_CHAIN_POLICY,
                match base.policy {
                    Policy::Accept => NF_ACCEPT,
                    Policy::Drop => NF_DROP,
                },
            );
        }
        if !self.userdata.is_empty() {
            w.put(NFTA_CHAIN_USERDATA, &self.userdata);
        }
    }

    /// Reads the attributes of `NFT_MSG_NEWCHAIN`.
    pub(crate) fn read(family: u8, attrs: &[u8]) -> Result<(TableId, Self), WireError> {
        let family = Family::try_from(family)?;
        let attrs = AttrMap::parse(attrs)?;
        let table = attrs.need(NFTA_CHAIN_TABLE, "NFTA_CHAIN_TABLE")?.text()?;
        let base = attrs
            .get(NFTA_CHAIN_HOOK)
            .map(|hook| BaseChain::read(family, &attrs, hook.payload))
            .transpose()?;
        let chain = Self {
            name: attrs.need(NFTA_CHAIN_NAME, "NFTA_CHAIN_NAME")?.text()?,
            base,
            userdata: attrs.bytes(NFTA_CHAIN_USERDATA),
        };
        Ok((TableId::new(family, table), chain))
    }
}

impl BaseChain {
    fn write_hook(&self, family: Family, w: &mut Writer) {
        // A hook that the family lacks is sent as a number that no family has, so that
        // the kernel refuses the chain by name.
        let number = self.hook.number(family).unwrap_or(u32::MAX);
        w.put_u32_be(NFTA_HOOK_HOOKNUM, number);
        w.put(NFTA_HOOK_PRIORITY, &self.priority.to_be_bytes());
        let mut devices = self.devices.iter();
        match (devices.next(), self.devices.len()) {
            (Some(only), 1) if !only.ends_with('*') => w.put_text(NFTA_HOOK_DEV, only),
            (None, _) => {}
            _ => w.nest(NFTA_HOOK_DEVS, |w| {
                for device in &self.devices {
                    match device.strip_suffix('*') {
                        Some(prefix) => w.put_text(NFTA_DEVICE_PREFIX, prefix),
                        None => w.put_text(NFTA_DEVICE_NAME, device),
                    }
                }
            }),
        }
    }

    fn read(family: Family, chain: &AttrMap<'_>, hook: &[u8]) -> Result<Self, WireError> {
        let hook = AttrMap::parse(hook)?;
        let number = hook
            .need(NFTA_HOOK_HOOKNUM, "NFTA_HOOK_HOOKNUM")?
            .u32_be()?;
        let priority = hook
            .need(NFTA_HOOK_PRIORITY, "NFTA_HOOK_PRIORITY")?
            .u32_be()?;
        let policy = match chain.u32_be(NFTA_CHAIN_POLICY)?.unwrap_or(NF_ACCEPT) {
            NF_ACCEPT => Policy::Accept,
            NF_DROP => Policy::Drop,
            other => {
                return Err(WireError::Value {
                    attribute: "NFTA_CHAIN_POLICY",
                    value: other.into(),
                });
            }
        };
        let kind = match chain.text(NFTA_CHAIN_TYPE)?.as_deref() {
            Some("filter") => ChainKind::Filter,
            Some("nat") => ChainKind::Nat,
            Some("route") => ChainKind::Route,
            other => ChainKind::Other(other.unwrap_or_default().to_owned()),
        };
        let mut devices = BTreeSet::new();
        if let Some(device) = hook.text(NFTA_HOOK_DEV)? {
            devices.insert(device);
        }
        if let Some(list) = hook.get(NFTA_HOOK_DEVS) {
            devices.clear();
            for device in Attrs::new(list.payload) {
                let device = device?;
                match device.kind {
                    NFTA_DEVICE_NAME => devices.insert(device.text()?),
                    NFTA_DEVICE_PREFIX => devices.insert(format!("{}*", device.text()?)),
                    other => {
                        return Err(WireError::Value {
                            attribute: "NFTA_HOOK_DEVS",
                            value: other.into(),
                        });
                    }
                };
            }
        }
        Ok(Self {
            kind,
            hook: Hook::from_number(family, number)?,
            priority: i32::from_be_bytes(priority.to_be_bytes()),
            policy,
            devices,
        })
    }
}
