//! Claims of addresses.

use sluice_crds::AddressClaim;
use sluice_crds::internal::ClaimOwnerKind;

use super::super::references::{OwnerName, cluster_key, gateway_of, owner_name};
use super::super::{Left, Meta, World};
use crate::identity::Uid;
use crate::operator::event::{Key, Kind};
use crate::operator::subject::Subject;

impl World {
    pub(super) fn mark_claims(&mut self, owner: &OwnerName) {
        let names: Vec<String> = self.claims_by_owner_name.of(owner).cloned().collect();
        for name in names {
            self.mark(Subject::Claim(name));
        }
    }

    /// A gateway that is being deleted waits for the EIPs that have claims.
    fn mark_awaiting_gateway(&mut self, eip: &Key) {
        let Some(gateway) = self.eips.get(eip).map(gateway_of) else {
            return;
        };
        if self.gateways.get(&gateway).is_some_and(Meta::deleting) {
            self.mark_object(Kind::NATGateway, &gateway);
            self.mark(Subject::Gateway(gateway));
        }
    }

    pub(in crate::operator::world) fn claim_changed(
        &mut self,
        key: &Key,
        old: Option<&AddressClaim>,
        new: Option<&AddressClaim>,
    ) {
        for (claim, add) in [(old, false), (new, true)] {
            let Some(claim) = claim else { continue };
            let (uid, name) = (Uid::new(&claim.spec.owner.uid), key.name.clone());
            let (owner, pool) = (owner_name(claim), claim.spec.pool.clone());
            let network = claim.spec.network.clone();
            let address = claim.spec.address.parse().ok();
            let owner_key = Key {
                namespace: owner.1.clone(),
                name: owner.2.clone(),
            };
            match owner.0 {
                ClaimOwnerKind::EIP => {
                    self.mark_awaiting_gateway(&owner_key);
                    self.mark(Subject::Eip(owner_key));
                }
                ClaimOwnerKind::NATGateway => self.mark(Subject::Gateway(owner_key)),
            }
            self.mark_object(Kind::EIPPool, &cluster_key(&pool));
            let taken = self.claims_by_address.entry(network).or_default();
            if add {
                if let Some(address) = address {
                    taken.insert(address, name.clone());
                }
                self.claims_by_owner.insert(uid, name.clone());
                self.claims_by_owner_name.insert(owner, name.clone());
                self.claims_by_pool.insert(pool, name);
            } else {
                if let Some(address) = address {
                    taken.remove(&address);
                }
                if taken.is_empty() {
                    self.claims_by_address.remove(&claim.spec.network);
                }
                if new.is_none_or(|new| new.spec.owner.uid != claim.spec.owner.uid) {
                    self.left.push(Left {
                        kind: Kind::AddressClaim,
                        child: None,
                        key: key.clone(),
                        uid: uid.clone(),
                    });
                }
                self.claims_by_owner.remove(&uid, &name);
                self.claims_by_owner_name.remove(&owner, &name);
                self.claims_by_pool.remove(&pool, &name);
            }
        }
        self.mark(Subject::Claim(key.name.clone()));
    }
}
