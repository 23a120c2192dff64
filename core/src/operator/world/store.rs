//! Objects of one kind by name, and look-ups from a reference to who refers.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sluice_crds::{
    AddressClaim, DNAT, EIP, EIPPool, FIP, GatewayConfig, GatewayInstance, NATGateway, RuleSlice,
    SNAT,
};

use super::super::event::{
    AttachmentFacts, ChildFacts, ChildKind, InsidePodFacts, Key, Kind, LeaseFacts, NamespaceFacts,
    NodeFacts, Object, PodFacts,
};
use crate::identity::Uid;

/// What every stored object tells of itself.
pub(crate) trait Record: Clone + PartialEq {
    /// Namespace and name.
    fn key(&self) -> Key;
    /// UID of this life of the name; empty where the server gave none.
    fn uid(&self) -> Uid;
    /// `resourceVersion` as a number; 0 where the server gave none: the last
    /// that arrived counts.
    fn version(&self) -> u64;
}

/// What a user or internal kind's metadata tells.
pub(crate) trait Meta {
    /// The metadata.
    fn meta(&self) -> &ObjectMeta;

    /// `metadata.generation`, 0 where it is not set.
    fn generation(&self) -> i64 {
        self.meta().generation.unwrap_or_default()
    }

    /// The generation of what is asked: `metadata.generation` without the step
    /// that a deletion adds to it (`rest.BeforeDelete` of the API server), so
    /// that what waits for its deletion need not be programmed anew.
    fn asked_generation(&self) -> i64 {
        let deleting = i64::from(self.deleting());
        self.generation().saturating_sub(deleting)
    }

    /// Whether `metadata.deletionTimestamp` is set.
    fn deleting(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }

    /// `metadata.creationTimestamp` in seconds since the epoch.
    fn created_secs(&self) -> i64 {
        self.meta()
            .creation_timestamp
            .as_ref()
            .map_or(0, |t| t.0.as_second())
    }

    /// `metadata.finalizers`.
    fn finalizers(&self) -> &[String] {
        self.meta().finalizers.as_deref().unwrap_or_default()
    }

    /// A label's value.
    fn label(&self, name: &str) -> Option<&str> {
        self.meta()
            .labels
            .as_ref()
            .and_then(|l| l.get(name))
            .map(String::as_str)
    }
}

macro_rules! records {
    ($($kind:ty),+ $(,)?) => { $(
        impl Meta for $kind {
            fn meta(&self) -> &ObjectMeta { &self.metadata }
        }
        impl Record for $kind {
            fn key(&self) -> Key {
                Key {
                    namespace: self.metadata.namespace.clone().unwrap_or_default(),
                    name: self.metadata.name.clone().unwrap_or_default(),
                }
            }
            fn uid(&self) -> Uid { Uid::new(self.metadata.uid.clone().unwrap_or_default()) }
            fn version(&self) -> u64 {
                self.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or_default()
            }
        }
    )+ };
}

records!(
    NATGateway,
    EIPPool,
    EIP,
    FIP,
    DNAT,
    SNAT,
    GatewayConfig,
    RuleSlice,
    GatewayInstance,
    AddressClaim,
);

macro_rules! facts {
    ($($kind:ty: $this:ident => $key:expr;)+) => { $(
        impl Record for $kind {
            fn key(&self) -> Key { let $this = self; $key }
            fn uid(&self) -> Uid { self.uid.clone() }
            fn version(&self) -> u64 { self.resource_version.parse().unwrap_or_default() }
        }
    )+ };
}

fn cluster(name: &str) -> Key {
    Key {
        namespace: String::new(),
        name: name.to_owned(),
    }
}

facts! {
    LeaseFacts: o => o.key.clone();
    PodFacts: o => o.key.clone();
    InsidePodFacts: o => o.key.clone();
    ChildFacts: o => o.key.clone();
    AttachmentFacts: o => o.key.clone();
    NodeFacts: o => cluster(&o.name);
    NamespaceFacts: o => cluster(&o.name);
}

/// Objects of one kind, by namespace and name.
#[derive(Clone, Debug)]
pub(crate) struct Store<T>(BTreeMap<Key, T>);

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Record> Store<T> {
    /// The object of that name.
    pub(crate) fn get(&self, key: &Key) -> Option<&T> {
        self.0.get(key)
    }

    /// All objects, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &T)> {
        self.0.iter()
    }

    /// All objects of a namespace.
    pub(crate) fn in_namespace<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a T)> {
        self.0
            .range(
                Key {
                    namespace: namespace.to_owned(),
                    name: String::new(),
                }..,
            )
            .take_while(move |(key, _)| key.namespace == namespace)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts the newer of the stored and the given object; the replaced one comes
    /// back, `Err` where nothing changed.
    pub(super) fn put(&mut self, object: T) -> Result<Option<T>, ()> {
        let key = object.key();
        match self.0.get(&key) {
            Some(old) if old.version() != 0 && object.version() <= old.version() => Err(()),
            Some(old) if *old == object => Err(()),
            _ => Ok(self.0.insert(key, object)),
        }
    }

    /// Removes the object of that name.
    pub(super) fn take(&mut self, key: &Key) -> Option<T> {
        self.0.remove(key)
    }
}

/// Look-up from a reference to those who refer to it.
#[derive(Clone, Debug)]
pub(crate) struct Index<K, V>(BTreeMap<K, BTreeSet<V>>);

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, V: Ord> Index<K, V> {
    /// Those who refer to `key`, in order.
    pub(crate) fn of(&self, key: &K) -> impl Iterator<Item = &V> {
        self.0.get(key).into_iter().flatten()
    }

    /// How many refer to `key`.
    pub(crate) fn count(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, BTreeSet::len)
    }

    /// Whether nobody refers to anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All references that somebody makes.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.0.entry(key).or_default().insert(value);
    }

    pub(crate) fn remove(&mut self, key: &K, value: &V) {
        if let Some(values) = self.0.get_mut(key) {
            values.remove(value);
            if values.is_empty() {
                self.0.remove(key);
            }
        }
    }
}

impl Object {
    /// Kind, name and UID.
    pub(crate) fn identity(&self) -> (Kind, Key, Uid) {
        fn of<T: Record>(kind: Kind, object: &T) -> (Kind, Key, Uid) {
            (kind, object.key(), object.uid())
        }
        match self {
            Object::NATGateway(o) => of(Kind::NATGateway, o),
            Object::EIPPool(o) => of(Kind::EIPPool, o),
            Object::EIP(o) => of(Kind::EIP, o),
            Object::FIP(o) => of(Kind::FIP, o),
            Object::DNAT(o) => of(Kind::DNAT, o),
            Object::SNAT(o) => of(Kind::SNAT, o),
            Object::GatewayConfig(o) => of(Kind::GatewayConfig, o),
            Object::RuleSlice(o) => of(Kind::RuleSlice, o),
            Object::GatewayInstance(o) => of(Kind::GatewayInstance, o),
            Object::AddressClaim(o) => of(Kind::AddressClaim, o),
            Object::Lease(o) => of(Kind::Lease, o),
            Object::Pod(o) => of(Kind::Pod, o),
            Object::Node(o) => of(Kind::Node, o),
            Object::Namespace(o) => of(Kind::Namespace, o),
            Object::Attachment(o) => of(Kind::Attachment, o),
            Object::Child(o) => of(Kind::Child, o),
            Object::InsidePod(o) => of(Kind::InsidePod, o),
        }
    }

    /// `resourceVersion` as a number.
    pub(crate) fn version(&self) -> u64 {
        match self {
            Object::NATGateway(o) => o.version(),
            Object::EIPPool(o) => o.version(),
            Object::EIP(o) => o.version(),
            Object::FIP(o) => o.version(),
            Object::DNAT(o) => o.version(),
            Object::SNAT(o) => o.version(),
            Object::GatewayConfig(o) => o.version(),
            Object::RuleSlice(o) => o.version(),
            Object::GatewayInstance(o) => o.version(),
            Object::AddressClaim(o) => o.version(),
            Object::Lease(o) => o.version(),
            Object::Pod(o) => o.version(),
            Object::Node(o) => o.version(),
            Object::Namespace(o) => o.version(),
            Object::Attachment(o) => o.version(),
            Object::Child(o) => o.version(),
            Object::InsidePod(o) => o.version(),
        }
    }

    /// Which child, for children.
    pub(crate) fn child_kind(&self) -> Option<ChildKind> {
        match self {
            Object::Child(child) => Some(child.kind),
            _ => None,
        }
    }
}
