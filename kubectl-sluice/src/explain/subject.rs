//! What the chain needs of an object, whatever its kind.

use std::fmt;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use sluice_crds::EIP;
use sluice_crds::condition::{ACCEPTED, PROGRAMMED, READY};
use sluice_crds::user::{EIPRef, RuleStatus};

use crate::target::Kind;
use crate::world::{Key, World};

/// One object of a user.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub key: Key,
    /// Its UID.
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
    /// Generation that the status speaks of.
    pub observed: Option<i64>,
    /// Conditions of its status.
    pub conditions: Vec<Condition>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// EIPs that a rule names.
    pub eips: Vec<Key>,
    /// The gateway whose kernel must have it, as far as that is known.
    pub gateway: Option<Key>,
    /// Addresses that it needs.
    pub addresses: Vec<IpAddr>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

impl Subject {
    /// The object of that kind and name.
    #[must_use]
    pub fn find(world: &World, kind: Kind, key: &Key) -> Option<Self> {
        Self::all(world, kind).find(|subject| subject.key == *key)
    }

    /// The names of a kind.
    #[must_use]
    pub fn names(world: &World, kind: Kind) -> Vec<Key> {
        Self::all(world, kind).map(|subject| subject.key).collect()
    }

    /// All objects of a kind.
    pub fn all(world: &World, kind: Kind) -> Box<dyn Iterator<Item = Self> + '_> {
        match kind {
            Kind::EIP => Box::new(world.eips.iter().map(move |eip| {
                let status = eip.status.clone().unwrap_or_default();
                let mut this = Self::new(
                    kind,
                    &eip.metadata,
                    status.observed_generation,
                    status.conditions,
                );
                this.gateway = Some(gateway_of(eip));
                this.addresses = addresses_of(eip);
                this
            })),
            Kind::FIP => Box::new(world.fips.iter().map(move |fip| {
                rule(
                    world,
                    kind,
                    &fip.metadata,
                    fip.status.as_ref(),
                    std::slice::from_ref(&fip.spec.eip),
                )
            })),
            Kind::DNAT => Box::new(world.dnats.iter().map(move |dnat| {
                rule(
                    world,
                    kind,
                    &dnat.metadata,
                    dnat.status.as_ref(),
                    std::slice::from_ref(&dnat.spec.eip),
                )
            })),
            Kind::SNAT => Box::new(world.snats.iter().map(move |snat| {
                rule(
                    world,
                    kind,
                    &snat.metadata,
                    snat.status.as_ref(),
                    &snat.spec.eips,
                )
            })),
            Kind::NATGateway => Box::new(world.gateways.iter().map(move |gateway| {
                let status = gateway.status.clone().unwrap_or_default();
                let mut this = Self::new(
                    kind,
                    &gateway.metadata,
                    status.observed_generation,
                    status.conditions,
                );
                this.gateway = Some(this.key.clone());
                this
            })),
            Kind::EIPPool => Box::new(world.pools.iter().map(move |pool| {
                let status = pool.status.clone().unwrap_or_default();
                Self::new(
                    kind,
                    &pool.metadata,
                    status.observed_generation,
                    status.conditions,
                )
            })),
        }
    }

    fn new(
        kind: Kind,
        metadata: &ObjectMeta,
        observed: Option<i64>,
        conditions: Vec<Condition>,
    ) -> Self {
        Self {
            kind,
            key: Key::of(metadata),
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            observed,
            conditions,
            deleting: metadata.deletion_timestamp.is_some(),
            eips: Vec::new(),
            gateway: None,
            addresses: Vec::new(),
        }
    }

    /// Whether it is a FIP, DNAT or SNAT.
    #[must_use]
    pub fn is_rule(&self) -> bool {
        !self.eips.is_empty()
    }

    /// Its condition of a type.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == type_)
    }

    /// Its condition `Accepted`.
    #[must_use]
    pub fn accepted(&self) -> Option<&Condition> {
        self.condition(ACCEPTED)
    }

    /// Its condition `Programmed`.
    #[must_use]
    pub fn programmed(&self) -> Option<&Condition> {
        self.condition(PROGRAMMED)
    }

    /// Its condition `Ready`.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        self.condition(READY)
    }
}

fn rule(
    world: &World,
    kind: Kind,
    metadata: &ObjectMeta,
    status: Option<&RuleStatus>,
    eips: &[EIPRef],
) -> Subject {
    let status = status.cloned().unwrap_or_default();
    let mut this = Subject::new(
        kind,
        metadata,
        status.observed_generation,
        status.conditions,
    );
    let named = |eip: &EIPRef| Key::new(&this.key.namespace, &eip.name);
    this.eips = eips.iter().map(named).collect();
    let known: Vec<&EIP> = this.eips.iter().filter_map(|key| world.eip(key)).collect();
    this.gateway = known.first().map(|eip| gateway_of(eip));
    this.addresses = known.iter().flat_map(|eip| addresses_of(eip)).collect();
    this
}

/// The gateway that an EIP names.
#[must_use]
pub fn gateway_of(eip: &EIP) -> Key {
    let own = eip.metadata.namespace.clone().unwrap_or_default();
    let named = &eip.spec.gateway;
    Key::new(named.namespace.clone().unwrap_or(own), &named.name)
}

fn addresses_of(eip: &EIP) -> Vec<IpAddr> {
    let status = eip.status.as_ref();
    let both = [
        status.and_then(|s| s.ipv4.as_deref()),
        status.and_then(|s| s.ipv6.as_deref()),
    ];
    both.into_iter()
        .flatten()
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// What a condition says, as a problem and a remedy: messages end in `; remedy` where
/// there is one.
#[must_use]
pub fn words(condition: &Condition) -> (String, String) {
    let (problem, remedy) = match condition.message.rsplit_once("; ") {
        Some((problem, remedy)) => (problem, remedy.to_owned()),
        None => (condition.message.as_str(), String::new()),
    };
    (format!("{}: {problem}", condition.reason), remedy)
}
