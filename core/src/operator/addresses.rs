//! Allocation: which addresses an EIP or a gateway's inside network claims.

use std::net::IpAddr;

use sluice_crds::AddressClaim;
use sluice_crds::address::{DualAddress, claim_name, family};
use sluice_crds::condition::Reason;
use sluice_crds::internal::{AddressClaimSpec, ClaimOwner, ClaimOwnerKind, ClaimPhase};
use sluice_crds::user::{IpFamily, IpFamilyPolicy};

use super::Operator;
use super::action::{Action, Outcome, Target};
use super::event::{Key, Kind};
use super::resolve::eip::EipView;
use super::resolve::gateway::GatewayView;
use super::resolve::rules::holding;
use super::subject::Subject;
use super::verdict::Verdict;
use super::world::{Record as _, cluster_key};
use crate::identity::{Digest, Uid};

/// The claim's name: the lock.
pub(crate) fn name_of(network: &str, address: IpAddr) -> String {
    format!("{network}.{}", claim_name(address))
}

fn claim_target(name: &str) -> Target {
    Target::Object(Kind::AddressClaim, cluster_key(name))
}

/// Counts the leaders that have made sure of the claim.
const ANNOTATION_FENCED: &str = "internal.sluice.dev/fenced";

/// A claim's way to another gateway.
#[derive(Clone, Debug)]
pub(super) struct Handover {
    /// The claim, and its resourceVersion, which is the write's precondition.
    pub(super) uid: Uid,
    pub(super) version: u64,
    /// UID of the gateway that gets it.
    pub(super) to: Uid,
}

impl Operator {
    /// Wants the claims that an EIP lacks, and says in its view what cannot be had.
    pub(super) fn allocate(&mut self, key: &Key, view: &mut EipView) {
        self.starving.remove(key);
        self.queue.clear(&Subject::Eip(key.clone()), |target| {
            matches!(target, Target::Object(Kind::AddressClaim, _))
        });
        let Some(gateway_uid) = view.gateway_uid.clone() else {
            return;
        };
        self.move_claims(key, view, &gateway_uid);
        self.claim_missing(key, view, &gateway_uid);
        self.make_sure(key, view, &gateway_uid);
    }

    /// Wants a claim of each family that the EIP lacks.
    fn claim_missing(&mut self, key: &Key, view: &mut EipView, gateway_uid: &Uid) {
        let missing: Vec<IpFamily> = view
            .families
            .iter()
            .copied()
            .filter(|f| view.addresses.get(*f).is_none())
            .collect();
        let going = view.deleting && holding(&self.world, key).is_empty();
        if going || missing.is_empty() {
            return;
        }
        let mut chosen = Vec::new();
        for family in missing {
            match self.choose(key, view, family) {
                Ok(choice) => chosen.push(choice),
                Err(refusal) => {
                    self.starving.insert(key.clone());
                    let eip = self.world.eips.get(key);
                    let both = eip.is_some_and(|e| {
                        e.spec.ip_family_policy != Some(IpFamilyPolicy::PreferDualStack)
                    });
                    if both || (view.addresses.is_empty() && chosen.is_empty()) {
                        let whole = eip.and_then(|e| e.status.as_ref());
                        if !whole.is_some_and(|s| s.ipv4.is_some() && s.ipv6.is_some()) {
                            // Both or none: what is claimed goes back, unless
                            // the EIP has had both and is in service.
                            view.addresses = DualAddress::default();
                            view.granted = DualAddress::default();
                            self.mark_claims_of(&view.uid);
                        }
                        view.verdict = refusal;
                        return;
                    }
                }
            }
        }
        view.allocating |= !chosen.is_empty();
        for choice in chosen {
            let (name, action) = match choice {
                Choice::New(address) => {
                    let name = name_of(&view.network, address);
                    let claim = AddressClaim::new(
                        &name,
                        AddressClaimSpec {
                            network: view.network.clone(),
                            address: address.to_string(),
                            pool: view.pool.clone().unwrap_or_default(),
                            owner: owner(key, view),
                            gateway_uid: gateway_uid.to_string(),
                            phase: ClaimPhase::Bound,
                        },
                    );
                    (name, Some(Action::CreateClaim(claim)))
                }
                Choice::Adopt(name) => {
                    let action = self.world.claims.get(&cluster_key(&name)).map(|claim| {
                        let mut claim = claim.clone();
                        claim.spec.owner = owner(key, view);
                        claim.spec.gateway_uid = gateway_uid.to_string();
                        claim.spec.phase = ClaimPhase::Bound;
                        Action::UpdateClaim(claim)
                    });
                    (name, action)
                }
                Choice::Wait => continue,
            };
            self.queue
                .set(&Subject::Eip(key.clone()), claim_target(&name), action);
        }
    }

    fn mark_claims_of(&mut self, owner: &Uid) {
        let names: Vec<String> = self.world.claims_by_owner.of(owner).cloned().collect();
        for name in names {
            self.mark(Subject::Claim(name));
        }
    }

    fn choose(&mut self, key: &Key, view: &EipView, wanted: IpFamily) -> Result<Choice, Verdict> {
        let pool = view.pool.clone().unwrap_or_default();
        if self.views.pools.get(&pool).is_some_and(|p| p.deleting) {
            return Err(Verdict::refused(
                Reason::PoolTerminating,
                format!(
                    "spec.pool: EIPPool {pool} is being deleted, and hands out nothing new; name another"
                ),
            ));
        }
        if let Some(choice) = self.predecessor(key, view, wanted) {
            return Ok(choice);
        }
        let Some(pool_view) = self.views.pools.get(&pool) else {
            return Ok(Choice::Wait);
        };
        if !pool_view.verdict.ok {
            return Err(Verdict::refused(
                Reason::PoolExhausted,
                format!(
                    "spec.pool: nothing new is allocated from EIPPool {pool}: {}",
                    pool_view.verdict.message
                ),
            ));
        }
        // A claim for this EIP that is on its way.
        let coming =
            self.queue
                .under_way_of(&Subject::Eip(key.clone()))
                .find(|action| match action {
                    Action::CreateClaim(claim) | Action::UpdateClaim(claim) => {
                        claim.spec.owner.uid == view.uid.as_str()
                            && claim.spec.address.parse().ok().map(family) == Some(wanted)
                    }
                    _ => false,
                });
        if coming.is_some() {
            return Ok(Choice::Wait);
        }
        let network = &view.network;
        if let Some(address) = view.requested.get(wanted) {
            if !pool_view.ranges.contains(address) {
                return Err(Verdict::refused(
                    Reason::AddressNotInPool,
                    format!(
                        "spec.addresses: {address} is not among the addresses that EIPPool {pool} hands out; ask for one in its ranges"
                    ),
                ));
            }
            return match self.world.claim_address_taken(network, address) {
                None => Ok(Choice::New(address)),
                Some(name) => Err(self.taken(key, address, name)),
            };
        }
        let empty = std::collections::BTreeMap::new();
        let taken = self.world.claims_by_address.get(network).unwrap_or(&empty);
        let spread = Digest::of(view.uid.as_str().as_bytes()).to_u64();
        let reserved = |address: IpAddr| {
            let target = claim_target(&name_of(network, address));
            self.queue.busy(&target)
        };
        match pool_view.ranges.free(wanted, taken, &reserved, spread) {
            Some(address) => Ok(Choice::New(address)),
            None => Err(Verdict::refused(
                Reason::PoolExhausted,
                format!(
                    "spec.pool: EIPPool {pool} has no free {wanted:?} address; add ranges to it or delete an EIP"
                ),
            )),
        }
    }

    fn taken(&self, key: &Key, address: IpAddr, name: &str) -> Verdict {
        let owner = self
            .world
            .claims
            .get(&cluster_key(name))
            .map(|c| &c.spec.owner);
        let by = match owner {
            Some(owner) if owner.namespace == key.namespace => {
                format!(" by {:?} {}", owner.kind, owner.name)
            }
            _ => String::new(),
        };
        Verdict::refused(
            Reason::AddressInUse,
            format!("spec.addresses: {address} is taken{by}; ask for another, or for none"),
        )
    }

    /// The claim of an EIP of that name which is gone.
    fn predecessor(&mut self, key: &Key, view: &EipView, wanted: IpFamily) -> Option<Choice> {
        let owner_name = (ClaimOwnerKind::EIP, key.namespace.clone(), key.name.clone());
        let names: Vec<String> = self
            .world
            .claims_by_owner_name
            .of(&owner_name)
            .cloned()
            .collect();
        for name in names {
            let Some(claim) = self.world.claims.get(&cluster_key(&name)).cloned() else {
                continue;
            };
            if !adoptable(&claim, view, wanted) {
                continue;
            }
            let old_gateway = Uid::new(&claim.spec.gateway_uid);
            let stays = view.gateway_uid.as_ref() == Some(&old_gateway);
            let old_uid = Uid::new(&claim.spec.owner.uid);
            let free = claim.spec.phase == ClaimPhase::Releasing
                || stays
                || self.removed(&old_gateway, &old_uid, None, &Subject::Eip(key.clone()));
            return Some(if free {
                Choice::Adopt(name)
            } else {
                Choice::Wait
            });
        }
        None
    }

    /// Whether no late write can take a claim away from its gateway: this leader has
    /// written it, or the gateway's header has had its address all along. Whoever sent such
    /// a write had seen the address gone from the header, and did not bring it back.
    pub(super) fn is_sure(&self, claim: &AddressClaim) -> bool {
        if self.written.contains(&claim.uid()) {
            return true;
        }
        let Some(site) = self.sites.get(&Uid::new(&claim.spec.gateway_uid)) else {
            return false;
        };
        let owner = Uid::new(&claim.spec.owner.uid);
        let has = |line: &str| line.split(' ').any(|word| word == claim.spec.address);
        // Of a header whose slices somebody deleted nothing can be told.
        site.history.uid().is_some() && !site.history.known()
            || site
                .history
                .published(&owner)
                .is_some_and(|lines| lines.iter().any(|since| has(&since.line)))
    }

    /// A claim was written by this leader: what an earlier one may still send is void.
    pub(super) fn claim_done(&mut self, action: &Action, outcome: &Outcome) {
        let (Action::CreateClaim(claim) | Action::UpdateClaim(claim), Outcome::Done) =
            (action, outcome)
        else {
            return;
        };
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        if let Some(stands) = self.world.claims.get(&cluster_key(name)) {
            self.written.insert(stands.uid());
        }
    }

    /// Makes sure of the claims whose addresses the EIP is to have at its gateway.
    fn make_sure(&mut self, key: &Key, view: &mut EipView, gateway: &Uid) {
        if !view.verdict.ok || view.addresses == view.granted {
            return;
        }
        let names: Vec<String> = self.world.claims_by_owner.of(&view.uid).cloned().collect();
        for name in names {
            let Some(claim) = self.world.claims.get(&cluster_key(&name)).cloned() else {
                continue;
            };
            let there = self.handed_to(&claim).unwrap_or(gateway) == gateway
                && claim.spec.gateway_uid == gateway.as_str();
            let had = claim.spec.address.parse::<IpAddr>();
            let had = had.is_ok_and(|a| view.addresses.get(family(a)) == Some(a));
            let bound = claim.spec.phase == ClaimPhase::Bound && !self.is_releasing(&claim);
            if there && had && bound && !self.is_sure(&claim) {
                view.allocating = true;
                let fence = Action::UpdateClaim(counted(claim));
                let subject = Subject::Eip(key.clone());
                self.queue.set(&subject, claim_target(&name), Some(fence));
            }
        }
    }

    /// Hands claims over to the gateway that the EIP names now, once the old one
    /// holds nothing of their address any more.
    fn move_claims(&mut self, key: &Key, view: &mut EipView, gateway: &Uid) {
        if view.addresses == view.granted {
            return;
        }
        let names: Vec<String> = self.world.claims_by_owner.of(&view.uid).cloned().collect();
        for name in names {
            let Some(claim) = self.world.claims.get(&cluster_key(&name)).cloned() else {
                continue;
            };
            let Ok(address) = claim.spec.address.parse::<IpAddr>() else {
                continue;
            };
            // A handover that has begun is ended, and then goes on to where the EIP is now.
            let to = self.handed_to(&claim).unwrap_or(gateway).clone();
            if claim.spec.phase != ClaimPhase::Bound || self.is_releasing(&claim) {
                continue;
            }
            let subject = Subject::Eip(key.clone());
            if claim.spec.gateway_uid == to.as_str() {
                continue;
            }
            let old = Uid::new(&claim.spec.gateway_uid);
            let rules: Vec<Uid> = self
                .world
                .rules_by_eip
                .of(key)
                .filter_map(|rule| self.views.rules.get(rule).map(|v| v.uid.clone()))
                .collect();
            // Of the other family's address the old gateway may have got the claim again.
            let mut done = self.removed(&old, &view.uid, Some(address), &subject);
            for rule in rules {
                done &= self.removed(&old, &rule, Some(address), &subject);
            }
            if done {
                let handover = Handover {
                    uid: claim.uid(),
                    version: claim.version(),
                    to: to.clone(),
                };
                self.handing.insert(name.clone(), handover);
                let mut claim = claim;
                claim.spec.gateway_uid = to.to_string();
                self.queue.set(
                    &subject,
                    claim_target(&name),
                    Some(Action::UpdateClaim(claim)),
                );
            }
        }
    }

    /// Wants the claims for a gateway's inside addresses.
    pub(super) fn claim_lan(&mut self, key: &Key, view: &GatewayView) {
        self.crowded.remove(key);
        if view.deleting {
            return;
        }
        for lan in &view.lan {
            let name = name_of(&lan.network, lan.address);
            let wanted = ClaimOwner {
                kind: ClaimOwnerKind::NATGateway,
                uid: view.uid.to_string(),
                namespace: key.namespace.clone(),
                name: key.name.clone(),
            };
            let action = match self.world.claims.get(&cluster_key(&name)).cloned() {
                None => Some(Action::CreateClaim(AddressClaim::new(
                    &name,
                    AddressClaimSpec {
                        network: lan.network.clone(),
                        address: lan.address.to_string(),
                        pool: String::new(),
                        owner: wanted,
                        gateway_uid: view.uid.to_string(),
                        phase: ClaimPhase::Bound,
                    },
                ))),
                Some(mut claim) => {
                    let owner = &claim.spec.owner;
                    let same_name = owner.kind == wanted.kind
                        && owner.namespace == wanted.namespace
                        && owner.name == wanted.name;
                    let old = Uid::new(&claim.spec.gateway_uid);
                    let mine = owner.uid == wanted.uid && claim.spec.phase == ClaimPhase::Bound;
                    if !same_name {
                        self.crowded.insert(key.clone());
                    }
                    // An earlier gateway of that name: its instances must be dead.
                    (same_name
                        && !mine
                        && (old == view.uid || self.silent(&old, &Subject::Gateway(key.clone()))))
                    .then(|| {
                        claim.spec.owner = wanted;
                        claim.spec.gateway_uid = view.uid.to_string();
                        claim.spec.phase = ClaimPhase::Bound;
                        Action::UpdateClaim(claim)
                    })
                }
            };
            self.queue
                .set(&Subject::Gateway(key.clone()), claim_target(&name), action);
        }
    }

    /// Whether a gateway has claimed an inside address; `Err` names who has.
    pub(super) fn lan_claimed(&self, view: &GatewayView) -> Result<bool, Verdict> {
        let mut all = true;
        for lan in &view.lan {
            let name = name_of(&lan.network, lan.address);
            let Some(claim) = self.world.claims.get(&cluster_key(&name)) else {
                all = false;
                continue;
            };
            if claim.spec.gateway_uid == view.uid.as_str()
                && claim.spec.phase == ClaimPhase::Bound
                && !self.is_releasing(claim)
            {
                continue;
            }
            let owner = &claim.spec.owner;
            let key = self.world.gateways_by_uid.get(&view.uid);
            if key.is_some_and(|k| k.name == owner.name && k.namespace == owner.namespace) {
                all = false;
                continue;
            }
            return Err(Verdict::refused(
                Reason::AddressInUse,
                format!(
                    "spec.lan: {} is the inside address of NATGateway {}/{}; choose another in spec.lan.addresses",
                    lan.address, owner.namespace, owner.name
                ),
            ));
        }
        Ok(all)
    }
}

/// The claim with another resourceVersion, and else as it is.
fn counted(mut claim: AddressClaim) -> AddressClaim {
    let annotations = claim.metadata.annotations.get_or_insert_default();
    let count: u64 = annotations
        .get(ANNOTATION_FENCED)
        .and_then(|n| n.parse().ok())
        .unwrap_or_default();
    let next = count.wrapping_add(1).to_string();
    annotations.insert(ANNOTATION_FENCED.to_owned(), next);
    claim
}

enum Choice {
    New(IpAddr),
    Adopt(String),
    Wait,
}

fn owner(key: &Key, view: &EipView) -> ClaimOwner {
    ClaimOwner {
        kind: ClaimOwnerKind::EIP,
        uid: view.uid.to_string(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

/// Whether an EIP takes over the claim of its predecessor.
pub(crate) fn adoptable(claim: &AddressClaim, view: &EipView, wanted: IpFamily) -> bool {
    let Ok(address) = claim.spec.address.parse::<IpAddr>() else {
        return false;
    };
    let asked: DualAddress = view.requested;
    claim.spec.owner.uid != view.uid.as_str()
        && family(address) == wanted
        && view.pool.as_deref() == Some(claim.spec.pool.as_str())
        && view.network == claim.spec.network
        && asked.get(wanted).is_none_or(|a| a == address)
}
