//! What must hold at every moment, judged from outside (DESIGN: invariants 1 to 6).

use std::collections::BTreeMap;
use std::net::IpAddr;

use sluice_crds::internal::{ClaimPhase, GatewayInstanceStatus};
use sluice_crds::{EIP, GatewayConfig};

use super::ledger::{Tenancy, address_of, generation_of, key_of, uid_of};
use super::wire::{Body, Request};
use super::world::World;
use crate::agent::KernelOp;
use crate::operator::action::{Action, StatusWrite};
use crate::operator::event::{Event, Key, Kind, Object};
use crate::operator::tests::server::conditions;

/// A live read of the Lease counts for this long.
const CONFIRMED_MS: u64 = 1_000;

impl World {
    /// Something has changed at the API server.
    pub fn judge_event(&mut self, kind: Kind, at: usize) {
        let Some(event) = self.server.log.get(&kind).and_then(|log| log.get(at)) else {
            return;
        };
        match event.clone() {
            Event::Apply(object) => self.judge_object(*object),
            Event::Delete {
                kind: Kind::EIP | Kind::FIP | Kind::DNAT,
                uid,
                key,
                ..
            } => {
                self.ledger.gone.insert(uid.to_string());
                self.judge_gone(uid.as_str(), &key);
            }
            Event::Delete {
                kind: Kind::AddressClaim,
                ..
            } => self.judge_kernels(),
            _ => {}
        }
    }

    fn judge_object(&mut self, object: Object) {
        match object {
            Object::Lease(lease) if !lease.holder.is_empty() => {
                let term = (lease.uid.to_string(), lease.transitions);
                let known = self
                    .ledger
                    .terms
                    .entry(term)
                    .or_insert_with(|| lease.holder.clone());
                if *known != lease.holder {
                    let words = format!("one term, two holders: {known} and {lease:?}");
                    self.violate(|| words);
                }
            }
            Object::GatewayConfig(header) => self.judge_header(&header),
            Object::RuleSlice(slice) => {
                let name = slice.metadata.name.clone().unwrap_or_default();
                let lines = slice.spec.entries.clone();
                let known = self
                    .ledger
                    .slices
                    .entry(name.clone())
                    .or_insert_with(|| lines.clone());
                if *known != lines {
                    self.violate(|| format!("slice {name} was changed in place"));
                }
            }
            Object::GatewayInstance(report) => {
                let status = report.status.unwrap_or_default();
                if !self.ledger.reported(&status) {
                    self.violate(|| format!("reported a term that it never held: {status:?}"));
                }
            }
            Object::EIP(eip) => self.judge_eip(&eip),
            Object::AddressClaim(claim) => {
                let address = claim.spec.address.clone();
                let owner = claim.spec.owner.uid.clone();
                let before = self.ledger.had.insert(address, owner.clone());
                if before.is_some_and(|before| before != owner) {
                    self.sometimes("an address is given to another EIP");
                }
                self.judge_kernels();
            }
            _ => {}
        }
    }

    /// Invariants 2 and 6: a revision has one digest, a content too; nothing is
    /// named that never was.
    fn judge_header(&mut self, header: &GatewayConfig) {
        let uid = header.metadata.uid.clone().unwrap_or_default();
        let generation = header.metadata.generation.unwrap_or_default();
        let spec = &header.spec;
        if let Some(never) = spec
            .slices
            .iter()
            .find(|s| !self.ledger.slices.contains_key(*s))
        {
            let words = format!("header {generation}@{uid} names {never}, which never was");
            self.violate(|| words);
        }
        if !self.ledger.headers.contains(&uid) {
            self.ledger.headers.push(uid.clone());
        }
        let new = (spec.digest.clone(), spec.slices.clone());
        let revision = (uid.clone(), generation);
        let known = self
            .ledger
            .published
            .entry(revision)
            .or_insert_with(|| new.clone());
        if *known != new {
            self.violate(|| format!("revision {generation}@{uid} has two contents"));
        }
        let lines = self.ledger.lines(&uid, generation).unwrap_or_default();
        let settings = serde_json::to_string(&spec.settings).unwrap_or_default();
        let content = format!("{} {settings} {}", spec.gateway.uid, lines.join("\n"));
        let digest = spec.digest.clone();
        let known = self
            .ledger
            .digests
            .entry(content)
            .or_insert_with(|| digest.clone());
        if *known != digest {
            self.violate(|| format!("one content, two digests: header {generation}@{uid}"));
        }
    }

    /// Invariant 1: who stands in Ready=True held the term and proved the addresses.
    fn judge_eip(&mut self, eip: &EIP) {
        let uid = eip.metadata.uid.clone().unwrap_or_default();
        let name = eip.metadata.name.clone().unwrap_or_default();
        let namespace = eip.metadata.namespace.clone().unwrap_or_default();
        self.ledger
            .eips
            .insert(uid.clone(), (namespace, name.clone()));
        let Some(status) = &eip.status else { return };
        let ready = conditions(&Object::EIP(eip.clone()))
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True");
        if !ready {
            return;
        }
        let Some(holder) = &status.holder else {
            return self.violate(|| format!("EIP {name} is Ready by nobody"));
        };
        let tenancy = (
            holder.instance.clone(),
            holder.lease_uid.clone(),
            holder.term,
        );
        for address in [&status.ipv4, &status.ipv6].into_iter().flatten() {
            let proved = self.ledger.proofs.get(&tenancy).is_some_and(|proofs| {
                proofs.iter().any(|proof| {
                    let lines = self.ledger.lines(&proof.header, proof.generation);
                    lines.unwrap_or_default().iter().any(|line| {
                        let key = key_of(line);
                        line.starts_with("addr ")
                            && uid_of(line) == uid
                            && address_of(&key) == address
                            && !proof.rejected.contains(&key)
                    })
                })
            });
            if !proved {
                let words =
                    format!("EIP {name} is Ready at {tenancy:?}, which never proved {address}");
                return self.violate(|| words);
            }
        }
    }

    /// A status is about to be written: True needs a Lease that was just read
    /// live, and what its holder has reported since the entries came.
    pub fn judge_status(&mut self, who: usize, kind: Kind, key: &Key, write: &StatusWrite) {
        let ready = write.status.get("conditions").and_then(|all| {
            let mut all = all.as_array()?.iter();
            all.find(|c| c.get("type").is_some_and(|t| t == "Ready"))
        });
        let Some(ready) = ready.filter(|c| c.get("status").is_some_and(|s| s == "True")) else {
            return;
        };
        let uid = write.uid.as_str();
        let observed = ready
            .get("observedGeneration")
            .and_then(serde_json::Value::as_i64);
        let words = match kind {
            Kind::EIP => self.doubt(who, uid, None, self.was_ready(key, write)),
            Kind::FIP | Kind::DNAT => self.doubt(who, uid, observed, true),
            _ => None,
        };
        if let Some(words) = words {
            let name = self.contenders[who].name;
            self.violate(|| format!("{name} writes Ready=True of {kind:?} {}: {words}", key.name));
        }
    }

    /// Whether an EIP stays True by the same holder, where the write can succeed.
    fn was_ready(&self, key: &Key, write: &StatusWrite) -> bool {
        let Some(Object::EIP(eip)) = self.server.get(Kind::EIP, key) else {
            return true;
        };
        if eip.metadata.resource_version.as_ref() != Some(&write.resource_version) {
            return true;
        }
        eip.status.as_ref().is_some_and(|s| s.holder.is_some())
            && write.status.get("holder").is_none()
    }

    /// Why an object is not Ready by what this process may know; `stays`: only
    /// its own entries count, not those of the rules of its addresses.
    fn doubt(&self, who: usize, uid: &str, observed: Option<i64>, stays: bool) -> Option<String> {
        let contender = &self.contenders[who];
        let mut why = "no header that it was shown has its entries".to_owned();
        for (gateway, (header, generation)) in &contender.shown {
            let lines = self.ledger.lines(header.as_str(), *generation)?;
            let own: Vec<&str> = lines.iter().filter(|l| uid_of(l) == uid).copied().collect();
            if own.is_empty() {
                continue;
            }
            let lease = Key {
                namespace: gateway.namespace.clone(),
                name: sluice_crds::names::child_name(&gateway.name),
            };
            let Some((holder, term, at)) = contender.reads.get(&lease) else {
                why = "the Lease was never read live".to_owned();
                continue;
            };
            if self.now > at + CONFIRMED_MS {
                why = format!("the Lease was read live {} ms ago", self.now - at);
                continue;
            }
            let tenancy: Tenancy = (holder.clone(), term.lease_uid.to_string(), term.transitions);
            let unproved = own.iter().find(|line| {
                let since = self.ledger.since(header.as_str(), *generation, line);
                !self.ledger.proved(&tenancy, header.as_str(), since, line)
            });
            if let Some(line) = unproved {
                why = format!("{tenancy:?} has not proved {line:?}");
                continue;
            }
            let other = own
                .iter()
                .find(|l| observed.is_some_and(|g| generation_of(l) != Some(g)));
            if let Some(line) = other {
                why = format!("{line:?} is not of generation {observed:?}");
                continue;
            }
            let addresses: Vec<String> = own
                .iter()
                .map(|l| address_of(&key_of(l)).to_owned())
                .collect();
            let reach = self.ledger.reach(&tenancy, header.as_str());
            let uncovered = lines.iter().find(|line| {
                !stays
                    && addresses.iter().any(|a| address_of(&key_of(line)) == a)
                    && Some(self.ledger.since(header.as_str(), *generation, line)) > reach
            });
            if let Some(line) = uncovered {
                why = format!("{tenancy:?} has not covered the rule {line:?}");
                continue;
            }
            return None;
        }
        Some(why)
    }

    /// A report is sent: it claims only what the kernel has taken.
    pub fn judge_sent_report(&mut self, n: usize, status: &GatewayInstanceStatus) {
        let machine = &self.machines[n];
        let kernel = &machine.kernel;
        let mut wrong = None;
        if status.instance != machine.instance.to_string() {
            wrong = Some("another's name".to_owned());
        }
        if status.is_final && (kernel.answering || kernel.stamp.is_some()) {
            wrong = Some("final while the kernel holds something".to_owned());
        }
        if let Some(applied) = &status.applied {
            let committed = self.ledger.committed.get(&status.instance);
            let took = committed.is_some_and(|all| {
                all.iter().any(|(revision, digest)| {
                    revision.uid.as_str() == applied.uid
                        && revision.generation == applied.generation
                        && *digest == applied.digest
                })
            });
            if !took {
                wrong = Some("a revision that the kernel never took".to_owned());
            }
            let keys: Vec<String> = self
                .ledger
                .lines(&applied.uid, applied.generation)
                .unwrap_or_default()
                .into_iter()
                .map(key_of)
                .collect();
            let unflushed = kernel.unflushed.iter().find(|(key, removed)| {
                removed.uid.as_str() == applied.uid
                    && removed.generation <= applied.generation
                    && !keys.contains(key)
            });
            if let Some((key, _)) = unflushed {
                wrong = Some(format!("the removal of {key} before its flush"));
            }
        }
        if let Some(active) = &status.active {
            let term = (active.lease_uid.clone(), active.term);
            let held = self.ledger.terms.get(&term) == Some(&status.instance);
            let busy = machine.process.as_ref().is_some_and(|p| p.op.is_some());
            if !held || !(kernel.answering || busy) {
                wrong = Some("active, and it does not hold or answer".to_owned());
            }
        }
        if let Some(wrong) = wrong {
            self.violate(|| format!("a report claims {wrong}: {status:?}"));
        }
    }

    /// A kernel has changed: never back, and never to what is gone.
    pub fn judge_kernel(&mut self, n: usize, op: &KernelOp) {
        let instance = self.machines[n].instance.to_string();
        if let (KernelOp::Apply { .. }, Some(now)) = (op, self.machines[n].kernel.stamp.clone()) {
            let order = |uid: &str| self.ledger.headers.iter().position(|h| h == uid);
            let before = self
                .ledger
                .committed
                .get(&instance)
                .and_then(|all| all.last());
            let back = before.is_some_and(|(old, _)| match old.uid == now.0.uid {
                true => now.0.generation < old.generation,
                false => order(now.0.uid.as_str()) < order(old.uid.as_str()),
            });
            if back {
                let words = format!("a kernel goes back from {before:?} to {now:?}");
                return self.violate(|| words);
            }
            let key = (now.0.uid.to_string(), now.0.generation);
            let published = self.ledger.published.get(&key).map(|(digest, _)| digest);
            if published != Some(&now.1) {
                let words = format!("a kernel took {now:?}, published was {published:?}");
                return self.violate(|| words);
            }
            self.ledger.committed.entry(instance).or_default().push(now);
            let entries = &self.machines[n].kernel.entries;
            let gone = entries
                .iter()
                .find(|key| self.ledger.gone.contains(uid_of(key)));
            if let Some(gone) = gone.cloned() {
                return self.violate(|| format!("a kernel takes {gone:?}, whose object is gone"));
            }
        }
        self.judge_kernels();
    }

    /// An object is gone: no kernel has anything of it, and its connections were flushed
    /// or are let through no more.
    fn judge_gone(&mut self, uid: &str, key: &Key) {
        let kernels = self.machines.iter().filter(|m| !m.gone).map(|m| &m.kernel);
        let left = kernels
            .flat_map(|kernel| {
                let connections = kernel.unflushed.keys().filter(|_| !kernel.guarded);
                kernel.entries.iter().chain(connections)
            })
            .find(|entry| uid_of(entry) == uid);
        if let Some(left) = left.cloned() {
            self.violate(|| format!("{} is gone, and a kernel has {left:?}", key.name));
        }
    }

    /// Invariants 3 to 5: one answers for an address, by whole rules; and it is
    /// nobody else's while any kernel has it.
    pub fn judge_kernels(&mut self) {
        let mut answering: BTreeMap<IpAddr, usize> = BTreeMap::new();
        let mut wrong = None;
        for (n, machine) in self
            .machines
            .iter()
            .enumerate()
            .filter(|(_, m)| m.answers())
        {
            if machine.kernel.stamp.is_none() {
                wrong = Some(format!("{} answers without rules", machine.instance));
            }
            for address in &machine.kernel.held {
                if let Some(other) = answering.insert(*address, n) {
                    let other = &self.machines[other].instance;
                    wrong = Some(format!(
                        "{address} is answered for by {other} and {}",
                        machine.instance
                    ));
                }
            }
        }
        let claims: BTreeMap<&str, _> = self
            .server
            .all(Kind::AddressClaim)
            .filter_map(|o| match o {
                Object::AddressClaim(claim) => Some((&*claim.spec.address, &claim.spec)),
                _ => None,
            })
            .collect();
        for machine in self.machines.iter().filter(|m| !m.gone) {
            for key in &machine.kernel.entries {
                let address = address_of(key);
                let claim = claims.get(address);
                let bound = claim.is_some_and(|claim| {
                    claim.phase == ClaimPhase::Bound
                        && claim.gateway_uid == machine.gateway_uid.as_str()
                });
                let owner = self.ledger.eips.get(uid_of(key));
                let own = !key.starts_with("addr ")
                    || claim.is_some_and(|claim| {
                        claim.owner.uid == uid_of(key)
                            || owner.is_some_and(|(namespace, name)| {
                                claim.owner.namespace == *namespace && claim.owner.name == *name
                            })
                    });
                if !bound || !own {
                    wrong = Some(format!(
                        "{} has {key:?}, and the claim is {claim:?}",
                        machine.instance
                    ));
                }
            }
        }
        if let Some(wrong) = wrong {
            self.violate(|| wrong);
        }
    }

    /// A request is about to land.
    pub fn judge_landing(&mut self, request: &Request) {
        if let (true, Body::Status(_, _, write)) = (request.orphan, &request.body) {
            let text = write.status.to_string();
            if text.contains("\"Ready\"") && text.contains("\"True\"") {
                self.sometimes("a True lands late");
            }
        }
        if let (true, Body::Act(Action::WriteHeader(_))) = (request.orphan, &request.body) {
            self.sometimes("a header lands late");
        }
    }
}
