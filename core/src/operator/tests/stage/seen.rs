//! What a user sees.

use std::collections::BTreeSet;

use sluice_crds::user::EIPStatus;

use super::super::objects::key;
use super::super::server::{conditions, meta};
use super::Stage;
use crate::operator::event::{Kind, Object};

impl Stage {
    pub fn exists(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.server.get(kind, &key(namespace, name)).is_some()
    }

    pub fn eip(&self, namespace: &str, name: &str) -> EIPStatus {
        match self.server.get(Kind::EIP, &key(namespace, name)) {
            Some(Object::EIP(e)) => e.status.clone().unwrap_or_default(),
            _ => panic!("no EIP {namespace}/{name}"),
        }
    }

    /// Status and reason of a condition.
    pub fn condition(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        type_: &str,
    ) -> (String, String) {
        let Some(object) = self.server.get(kind, &key(namespace, name)) else {
            panic!("no {kind:?} {namespace}/{name}");
        };
        conditions(object)
            .iter()
            .find(|c| c.type_ == type_)
            .map(|c| (c.status.clone(), c.reason.clone()))
            .unwrap_or_else(|| ("none".into(), "none".into()))
    }

    /// Message of a condition.
    pub fn message(&self, kind: Kind, namespace: &str, name: &str, type_: &str) -> String {
        let object = self.server.get(kind, &key(namespace, name));
        let conditions = object.map(conditions).unwrap_or_default();
        let found = conditions.iter().find(|c| c.type_ == type_);
        found.map(|c| c.message.clone()).unwrap_or_default()
    }

    /// Names of everything that the operator or agents made.
    pub fn remains(&self) -> Vec<String> {
        self.server
            .objects
            .iter()
            .filter(|((kind, _, _), _)| {
                !matches!(
                    kind,
                    Kind::Namespace | Kind::Node | Kind::Attachment | Kind::InsidePod
                )
            })
            .map(|(slot, o)| format!("{slot:?} {:?}", meta(o).map(|m| &m.finalizers)))
            .collect()
    }

    /// Every EIP and rule that is accepted, and is not Ready.
    pub fn not_ready(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        for kind in [Kind::EIP, Kind::FIP, Kind::DNAT, Kind::SNAT] {
            for object in self.server.all(kind) {
                let (_, name, _) = object.identity();
                let of = |type_: &str| self.condition(kind, &name.namespace, &name.name, type_);
                let unaccepted = of("Accepted").0 == "False";
                if !unaccepted && of("Ready").0 != "True" {
                    out.insert(format!(
                        "{kind:?} {name:?} {:?} {:?}",
                        of("Accepted"),
                        of("Ready")
                    ));
                }
            }
        }
        out
    }
}
