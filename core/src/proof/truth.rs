//! What must be true once all is calm (invariant 7): all that is accepted is
//! Ready, and what is said to be Ready answers.

use std::collections::BTreeMap;

use super::ledger::uid_of;
use super::machine::Machine;
use super::world::{GATEWAYS, World};
use crate::operator::event::{Key, Kind, Object};
use crate::operator::tests::objects::key;
use crate::operator::tests::server::{conditions, meta};

impl World {
    fn says(object: &Object, type_: &str) -> (String, String) {
        let found = conditions(object).iter().find(|c| c.type_ == type_);
        found.map_or_else(
            || ("none".into(), "none".into()),
            |c| (c.status.clone(), c.reason.clone()),
        )
    }

    /// The machine that answers for a gateway by its Lease.
    fn holder(&self, gateway: &Key) -> Option<&Machine> {
        let lease = key(
            &gateway.namespace,
            &sluice_crds::names::child_name(&gateway.name),
        );
        let Some(Object::Lease(lease)) = self.server.get(Kind::Lease, &lease) else {
            return None;
        };
        let mut machines = self.machines.iter();
        machines.find(|m| m.answers() && m.instance.to_string() == lease.holder)
    }

    fn stands(&self, kind: Kind, key: &Key) -> bool {
        let object = self.server.get(kind, key);
        let meta = object.and_then(meta);
        meta.is_some_and(|m| m.deletion_timestamp.is_none())
    }

    /// What is not as it must be, in words.
    pub fn lies(&self, refused: Option<&str>) -> Vec<String> {
        let mut wrong = Vec::new();
        for name in GATEWAYS {
            let gateway = key("net", name);
            if !self.stands(Kind::NATGateway, &gateway)
                || !self.stands(Kind::EIPPool, &key("", "external"))
            {
                continue;
            }
            let object = self.server.get(Kind::NATGateway, &gateway);
            let ready = object.map(|o| Self::says(o, "Ready"));
            if ready.as_ref().is_none_or(|(status, _)| status != "True") {
                wrong.push(format!("NATGateway {name} is not Ready: {ready:?}"));
            }
        }
        for object in self.server.all(Kind::EIP) {
            if let Some(why) = self.doubt_eip(object) {
                wrong.push(why);
            }
        }
        let accepted = self.expected_rules();
        for (slot, expected) in &accepted {
            let Some(object) = self.server.get(slot.0, &slot.1) else {
                continue;
            };
            if let Some(why) = self.doubt_rule(object, *expected, refused) {
                wrong.push(why);
            }
        }
        wrong
    }

    fn doubt_eip(&self, object: &Object) -> Option<String> {
        let Object::EIP(eip) = object else {
            return None;
        };
        let name = object.identity().1.name;
        let (accepted, ready) = (Self::says(object, "Accepted"), Self::says(object, "Ready"));
        let gateway = key("net", &eip.spec.gateway.name);
        let whole = self.stands(Kind::NATGateway, &gateway)
            && self.stands(Kind::EIPPool, &key("", "external"));
        let said = format!("EIP {name}: Accepted {accepted:?}, Ready {ready:?}");
        if whole && eip.metadata.deletion_timestamp.is_none() && accepted.0 != "True" {
            return Some(said);
        }
        // A gateway that is being deleted takes no more EIPs, and serves those that it has.
        if accepted.0 != "True" && eip.metadata.deletion_timestamp.is_none() {
            return (ready.0 == "True").then_some(said);
        }
        if eip.metadata.deletion_timestamp.is_some() && ready.0 != "True" {
            return None;
        }
        if ready.0 != "True" {
            return Some(said);
        }
        let status = eip.status.as_ref()?;
        let Some(machine) = self.holder(&gateway) else {
            return Some(format!("{said}, and nobody holds {}", gateway.name));
        };
        if status.holder.as_ref().map(|h| &h.instance) != Some(&machine.instance.to_string()) {
            return Some(format!("{said}, by another than {}", machine.instance));
        }
        let uid = eip.metadata.uid.as_deref()?;
        let mut addresses = [&status.ipv4, &status.ipv6].into_iter().flatten();
        let missing = addresses.find(|address| {
            let prefix = format!("addr {uid} {address} ");
            !machine
                .kernel
                .entries
                .iter()
                .any(|k| k.starts_with(&prefix))
                || !machine
                    .kernel
                    .held
                    .iter()
                    .any(|a| a.to_string() == **address)
        });
        if status.ipv4.is_none() && status.ipv6.is_none() {
            return Some(format!("{said}, without an address"));
        }
        missing.map(|address| format!("{said}, and {address} does not answer"))
    }

    /// Of each rule whether it must be accepted: the older of two that exclude
    /// each other; `None` where that hangs on more than rules.
    fn expected_rules(&self) -> BTreeMap<(Kind, Key), Option<bool>> {
        let mut rules: Vec<(i64, Kind, Key, String)> = Vec::new();
        for kind in [Kind::FIP, Kind::DNAT] {
            for object in self.server.all(kind) {
                let eip = match object {
                    Object::FIP(fip) => fip.spec.eip.name.clone(),
                    Object::DNAT(dnat) => dnat.spec.eip.name.clone(),
                    _ => continue,
                };
                let created = meta(object).and_then(|m| m.creation_timestamp.as_ref());
                let created = created.map_or(0, |t| t.0.as_second());
                rules.push((created, kind, object.identity().1, eip));
            }
        }
        rules.sort();
        let mut taken: BTreeMap<String, Kind> = BTreeMap::new();
        let mut expected = BTreeMap::new();
        for (_, kind, name, eip) in rules {
            let object = self.server.get(Kind::EIP, &key("tenants", &eip));
            let gateway = match object {
                Some(Object::EIP(eip)) => key("net", &eip.spec.gateway.name),
                _ => Key::default(),
            };
            let whole = object.is_some_and(|o| Self::says(o, "Accepted").0 == "True")
                && self.stands(Kind::NATGateway, &gateway)
                && self.stands(Kind::EIP, &key("tenants", &eip))
                && self.stands(kind, &name);
            let free = match taken.get(&eip) {
                None => true,
                Some(other) => kind == Kind::DNAT && *other == Kind::DNAT,
            };
            if free {
                taken.insert(eip, kind);
            }
            expected.insert((kind, name), whole.then_some(free));
        }
        expected
    }

    fn doubt_rule(
        &self,
        object: &Object,
        expected: Option<bool>,
        refused: Option<&str>,
    ) -> Option<String> {
        let (kind, name, uid) = object.identity();
        let (accepted, ready) = (Self::says(object, "Accepted"), Self::says(object, "Ready"));
        let said = format!(
            "{kind:?} {}: Accepted {accepted:?}, Ready {ready:?}",
            name.name
        );
        let is = |wanted: bool| accepted.0 == if wanted { "True" } else { "False" };
        if expected.is_some_and(|expected| !is(expected)) {
            return Some(format!("{said}, expected {expected:?}"));
        }
        if expected != Some(true) {
            return None;
        }
        let machines = self.machines.iter().filter(|m| m.answers());
        let mut entries = machines.flat_map(|m| &m.kernel.entries);
        let held = entries.any(|k| uid_of(k) == uid.as_str());
        // A kernel that had it before it began to refuse it keeps it.
        let bad = refused.is_some_and(|refused| refused.contains(uid.as_str()));
        let should = if held || !bad { "True" } else { "False" };
        if ready.0 != should {
            return Some(said);
        }
        (!bad && !held).then(|| format!("{said}, and no kernel has it"))
    }

    /// Everything that the operator or agents made and that is still there.
    pub fn remains(&self) -> Vec<String> {
        let made = self.server.objects.iter().filter(|((kind, _, _), _)| {
            !matches!(kind, Kind::Namespace | Kind::Node | Kind::Attachment)
        });
        let objects = made.map(|(slot, o)| {
            let meta = meta(o).map(|m| (&m.finalizers, m.deletion_timestamp.is_some()));
            format!("{:?} {}/{} {meta:?}", slot.0, slot.2.namespace, slot.2.name)
        });
        let kernels = self.machines.iter().filter(|m| !m.gone);
        objects
            .chain(kernels.map(|m| format!("machine {}", m.instance)))
            .collect()
    }
}
