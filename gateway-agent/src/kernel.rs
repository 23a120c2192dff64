//! The data plane: what the kernel of this network namespace holds.
//!
//! [`Kernel`] is the only door. It blocks, and works in the network namespace of the thread
//! that opened it: give it a thread of its own.
//!
//! Order up: guard tables, routes and rules, addresses, forwarding; then the caller
//! announces. Order down: the reverse.

mod announce;
mod converge;
mod devconf;
mod events;
pub mod flow_log;
mod flows;
mod forwards;
mod frame;
mod neighbours;
mod own;
pub mod packet;
mod report;
mod routing;
mod rtnl;
mod ruleset;
mod settings;
mod shaping;
mod step;
mod strays;
mod tables;
#[cfg(test)]
mod traced;
mod usage;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use nfnetlink::Socket;
use sluice_core::config::Snapshot;
use sluice_core::entry::Entry;
use sluice_core::identity::Revision;

use converge::Network;
pub use events::{Event, Events};
pub use flows::Flush;
use neighbours::Neighbours;
pub use report::{
    Applied, Conflict, Inspection, KernelError, KernelOptions, Problem, ProblemKind, Rejected,
    Repaired, Stamp, Unusable, UnusableReason, UplinkState,
};
use rtnl::Link;
use ruleset::{Origin, Ruleset, Uses};
use settings::Settings;
use shaping::Shaping;
use strays::Translations;
use tables::{Refused, Tables};
pub use usage::Usage;
use usage::{Watched, Watching};

/// Under `/proc/sys/net`; 0: no events, 1: always, 2: where somebody listens.
const CONNTRACK_EVENTS: &str = "netfilter/nf_conntrack_events";
/// How many rounds of refusals one apply takes: each leaves out at least one entry more.
const ROUNDS: usize = 256;

/// The data plane of this network namespace.
#[derive(Debug)]
pub struct Kernel {
    options: KernelOptions,
    tables: Tables,
    network: Network,
    flows: Socket,
    neighbours: Neighbours,
    applied: Option<Held>,
    watching: Watching,
}

/// What was applied.
#[derive(Debug)]
struct Held {
    settings: Settings,
    snapshot: Snapshot,
    ruleset: Ruleset,
    /// What rules are on the addresses, where every entry is in the rules with elements of
    /// its own: then few changes need not make all anew.
    uses: Option<Uses>,
    /// With their uplink's index.
    addresses: BTreeMap<IpAddr, usize>,
    shaping: Shaping,
    stamp: Stamp,
}

impl Kernel {
    /// Opens the data plane of the calling thread's network namespace. Changes nothing.
    ///
    /// # Errors
    /// [`KernelError`] where a socket cannot be opened.
    pub fn open(options: KernelOptions) -> Result<Self, KernelError> {
        Ok(Self {
            tables: Tables::open(options.ownership)?,
            network: Network::open()?,
            flows: Socket::open().map_err(|error| KernelError::Rules(error.to_string()))?,
            neighbours: Neighbours::new(),
            applied: None,
            watching: Watching::default(),
            options,
        })
    }

    /// Makes a network namespace safe that has no rules of ours: nothing is forwarded and no
    /// interface but the pod's own answers for addresses. Where our rules are, nothing
    /// changes. Call it at process start, before anything else. Returns whether guards were
    /// put up.
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn guard(&mut self) -> Result<bool, KernelError> {
        if self.tables.stamp()?.is_some() {
            return Ok(false);
        }
        self.stand_guard()?;
        Ok(true)
    }

    fn stand_guard(&mut self) -> Result<(), KernelError> {
        self.tables.make(&ruleset::guard(&self.options))?;
        Ok(())
    }

    /// What our tables say was applied last, by this process or one before it.
    ///
    /// # Errors
    /// [`KernelError::Rules`].
    pub fn stamp(&mut self) -> Result<Option<Stamp>, KernelError> {
        self.tables.stamp()
    }

    /// Makes the kernel hold a config: rules in one transaction, then routes, and where
    /// `holding` the addresses and forwarding. Touches only what differs, so it is
    /// idempotent, and adopts what an earlier process left. Entries that the kernel refuses
    /// are left out, with what needs them, and reported.
    ///
    /// # Errors
    /// [`KernelError::Settings`] before anything is changed; others where what no entry is
    /// to blame for fails. The rules are then the old ones or the new ones, never a mixture.
    pub fn apply(
        &mut self,
        snapshot: &Snapshot,
        revision: &Revision,
        holding: bool,
    ) -> Result<Applied, KernelError> {
        let mut settings = Settings::parse(&snapshot.settings)?;
        if settings.mss_clamp.is_some() {
            settings.follow_mtus(&self.network.links()?);
        }
        let stamp = Stamp {
            revision: revision.clone(),
            digest: snapshot.digest.to_string(),
            holding,
        };
        if let Some(applied) = self.step(&settings, snapshot, &stamp)? {
            return Ok(applied);
        }
        let entries: Vec<&Entry> = snapshot.entries().collect();
        let mut refused: BTreeMap<Origin, String> = BTreeMap::new();
        let mut changed = 0;
        let before = self.tables.inet()?.cloned();
        for _ in 0..ROUNDS {
            let built = ruleset::build(&settings, &entries, &self.options, &stamp, &refused);
            // Addresses that go, go before their rules.
            let mut seen = self.network.observe()?;
            let withdrawn = self.network.withdraw(
                &settings,
                &built.addresses,
                holding,
                &self.options,
                &seen,
            )?;
            if withdrawn > 0 {
                seen = self.network.observe()?;
                changed += withdrawn;
            }
            // Classes are there before packets are given to them.
            let shaped = self.network.shape(&built.shaping, &seen)?;
            changed += shaped.changed;
            if !shaped.refused.is_empty() {
                refused.extend(shaped.refused);
                continue;
            }
            match self.tables.make(&built.ruleset) {
                Ok(objects) => changed += objects,
                Err(Refused::Other(error)) => return Err(error),
                Err(Refused::Element {
                    family,
                    set,
                    keys,
                    error,
                }) => {
                    let made =
                        ruleset::origins(&settings, &entries, &self.options, &stamp, &refused);
                    let origins = keys.iter().filter_map(|key| made.of(family, &set, key));
                    // Where the kernel does not name the element the youngest goes first.
                    let Some(origin) = origins.max() else {
                        return Err(KernelError::Rules(format!("set {set}: {error}")));
                    };
                    refused.insert(origin, error);
                    continue;
                }
            }
            let outcome = self
                .network
                .converge(&settings, &built.addresses, holding, &seen)?;
            changed += outcome.changed;
            let mut again = false;
            for (address, error) in outcome.refused {
                if let Some(origin) = built.address_origin(address) {
                    again |= refused.insert(origin, error).is_none();
                }
            }
            if again {
                continue;
            }
            changed += self.network.unshape(&built.shaping, &seen)?;
            let inet = &built.ruleset.inet;
            let mut flush = Flush::between(before.as_deref(), inet, inet);
            if let Some(held) = &self.applied {
                let places = settings.places(&built.addresses);
                flush.moved(&held.settings.places(&held.addresses), &places);
            }
            let watched = Watched::of(snapshot.entries(), &built.rejected);
            self.watching.set(watched.filter(|_| holding));
            let rejected = rejections(&entries, &built.rejected);
            self.applied = Some(Held {
                settings,
                snapshot: snapshot.clone(),
                uses: built.plain.then(|| Uses::of(snapshot.entries())),
                ruleset: built.ruleset,
                addresses: built.addresses,
                shaping: built.shaping,
                stamp: stamp.clone(),
            });
            return Ok(Applied {
                stamp,
                rejected,
                changed,
                flush: (!flush.is_empty()).then_some(flush),
            });
        }
        Err(KernelError::Rules(format!(
            "the kernel refused entries in each of {ROUNDS} rounds"
        )))
    }

    /// Flushes connections; see [`Applied::flush`].
    ///
    /// # Errors
    /// [`KernelError::Rules`].
    pub fn flush(&mut self, flush: &Flush) -> Result<(), KernelError> {
        flush.run(&mut self.flows)
    }

    /// Flushes every connection that the rules in force would not translate as it is, for
    /// where nobody knows which rules went: lists all connections, and leaves alone those
    /// that agree. Returns how many went. The rules are those that the kernel has, which
    /// after an apply that failed half-way are not those that were applied last.
    ///
    /// # Errors
    /// [`KernelError::NotApplied`]; [`KernelError::Rules`], also where there are none.
    pub fn flush_strays(&mut self) -> Result<usize, KernelError> {
        let held = self.applied.as_ref().ok_or(KernelError::NotApplied)?;
        let inet = self.tables.inet()?;
        let Some(inet) = inet.filter(|inet| ruleset::stamp_of(inet).is_some()) else {
            let gone = "the rules are gone: connections are judged when they are back";
            return Err(KernelError::Rules(gone.to_owned()));
        };
        let places = held.settings.places(&held.addresses);
        let rules = Translations::new(inet, &held.settings, &self.options).with_places(&places);
        let strays = self.flows.flows_where(|flow| rules.is_stray(flow));
        let strays = strays.map_err(flows::failed)?;
        for flow in &strays {
            self.flows.delete_flow(flow).map_err(flows::failed)?;
        }
        Ok(strays.len())
    }

    /// All that the instance answers for when it holds: EIPs, and the LAN's next hops.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let Some(held) = &self.applied else {
            return Vec::new();
        };
        let next_hops = held.settings.lan_addresses.iter().map(ipnet::IpNet::addr);
        held.addresses.keys().copied().chain(next_hops).collect()
    }

    /// Compares the kernel with what was applied last, and where the instance holds asks the
    /// next hops for their MACs: call it once a second. Cheap enough with ten thousand
    /// addresses. Changes nothing but neighbour entries that are wrong, where the settings
    /// say so.
    ///
    /// # Errors
    /// [`KernelError::NotApplied`]; others where the kernel cannot be asked.
    pub fn inspect(&mut self) -> Result<Inspection, KernelError> {
        self.follow_mtus()?;
        let held = self.applied.as_ref().ok_or(KernelError::NotApplied)?;
        let holding = held.stamp.holding;
        let mut inspection = self.network.inspect(
            &held.settings,
            &held.addresses,
            holding,
            &held.shaping,
            &self.options.node,
            &mut self.neighbours,
        )?;
        let drift = self.tables.drift(&held.ruleset)?;
        inspection.drift.extend(drift);
        if held.settings.flow_log && devconf::sysctl(CONNTRACK_EVENTS) == Some(0) {
            inspection.problems.push(Problem {
                kind: ProblemKind::FlowLogSilent,
                message:
                    "net.netfilter.nf_conntrack_events is 0, so that spec.flowLog has nothing \
                          to write: set it to 1 or 2 on the Node, and replace this pod"
                        .to_owned(),
                blocking: false,
            });
        }
        let foreign = self.tables.foreign_chains()?;
        if !foreign.is_empty() {
            let list: Vec<&str> = foreign.iter().take(5).map(String::as_str).collect();
            inspection.problems.push(Problem {
                kind: ProblemKind::ForeignRules,
                message: format!(
                    "other base chains stand in this network namespace and may drop or translate \
                     packets: {}; remove them",
                    list.join(", ")
                ),
                blocking: false,
            });
        }
        Ok(inspection)
    }

    /// Lets segments be as large as the MTUs now are. That an MTU is another than at the last
    /// look is no drift: nobody changed what is ours.
    fn follow_mtus(&mut self) -> Result<(), KernelError> {
        let held = self.applied.as_ref().ok_or(KernelError::NotApplied)?;
        if held.settings.mss_clamp.is_none() {
            return Ok(());
        }
        let mut settings = held.settings.clone();
        if !settings.follow_mtus(&self.network.links()?) {
            return Ok(());
        }
        // A change that failed half-way is for the next apply alone.
        if self.tables.stamp()?.as_ref() != Some(&held.stamp) {
            return Ok(());
        }
        tracing::info!(mtus = ?settings.mtus, "TCP segments follow the MTUs");
        let mut ruleset = held.ruleset.clone();
        ruleset::segments(Arc::make_mut(&mut ruleset.inet), &settings);
        self.tables.make(&ruleset)?;
        if let Some(held) = &mut self.applied {
            held.settings = settings;
            held.ruleset = ruleset;
        }
        Ok(())
    }

    /// Mends what [`Kernel::inspect`] found.
    ///
    /// # Errors
    /// [`KernelError::NotApplied`]; others as [`Kernel::apply`].
    pub fn repair(&mut self) -> Result<Repaired, KernelError> {
        let held = self.applied.as_ref().ok_or(KernelError::NotApplied)?;
        let mut seen = self.network.observe()?;
        let (settings, holding) = (&held.settings, held.stamp.holding);
        // What others made to answer goes, too.
        let withdrawn =
            self.network
                .withdraw(settings, &held.addresses, holding, &self.options, &seen)?;
        if withdrawn > 0 {
            seen = self.network.observe()?;
        }
        let shaped = self.network.shape(&held.shaping, &seen)?;
        if let Some(words) = shaped.refused.into_values().next() {
            return Err(KernelError::Shaping(words));
        }
        let of_rules = self.tables.make(&held.ruleset)?;
        let outcome =
            self.network
                .converge(&held.settings, &held.addresses, held.stamp.holding, &seen)?;
        let unshaped = self.network.unshape(&held.shaping, &seen)?;
        Ok(Repaired {
            changed: withdrawn + shaped.changed + of_rules + outcome.changed + unshaped,
            rules: of_rules > 0,
        })
    }

    /// The kernel's own events, for a thread of its own in the same network namespace.
    ///
    /// # Errors
    /// [`KernelError`] where a socket cannot be opened.
    pub fn events(&self) -> Result<Events, KernelError> {
        Events::open(self.network.port()?, self.tables.port())
    }

    /// What looks at the use of ports by the config in force, for a thread of its own in the
    /// same network namespace.
    ///
    /// # Errors
    /// [`KernelError`] where a socket cannot be opened.
    pub fn usage(&mut self) -> Result<Usage, KernelError> {
        let inherited = self.tables.stamp()?.is_some();
        Usage::open(self.watching.clone(), inherited)
    }

    /// Sends one round of announcements for those of the addresses that the instance answers
    /// for, each on its interface, without waiting for anything. Returns the number of
    /// frames. When to repeat it is the caller's to decide.
    ///
    /// # Errors
    /// [`KernelError::NotApplied`]; [`KernelError::System`] where nothing could be sent.
    pub fn announce(&mut self, addresses: &[IpAddr]) -> Result<usize, KernelError> {
        let links = self.network.links()?;
        announce::announce(&self.places(addresses, &links)?)
    }

    /// Asks on each address's interface whether another host has the address (RFC 5227, RFC
    /// 4862 §5.4), for `time` in all. Apply the config with `holding` false first.
    ///
    /// # Errors
    /// [`KernelError::NotApplied`]; [`KernelError::System`].
    pub fn probe_conflict(
        &mut self,
        addresses: &[IpAddr],
        time: Duration,
    ) -> Result<Vec<Conflict>, KernelError> {
        let links = self.network.links()?;
        announce::conflicts(&self.places(addresses, &links)?, time)
    }

    /// The interface of each address; addresses that are not the gateway's are left out.
    fn places<'a>(
        &self,
        addresses: &[IpAddr],
        links: &'a [Link],
    ) -> Result<Vec<(IpAddr, &'a Link)>, KernelError> {
        let held = self.applied.as_ref().ok_or(KernelError::NotApplied)?;
        let place = |address: &IpAddr| {
            let uplink = held.addresses.get(address);
            let uplink = uplink.and_then(|index| held.settings.uplinks.get(*index));
            let mut next_hops = held.settings.lan_addresses.iter();
            let name = match uplink {
                Some(uplink) => &uplink.interface,
                None => next_hops
                    .any(|net| net.addr() == *address)
                    .then_some(&held.settings.lan)?,
            };
            let link = links.iter().find(|link| link.name == *name)?;
            Some((*address, link))
        };
        Ok(addresses.iter().filter_map(place).collect())
    }

    /// Takes everything down: addresses first, then forwarding, routes and rules; a guard
    /// that forwards nothing stays. After it the instance answers for nothing.
    ///
    /// # Errors
    /// [`KernelError`]; it may be called again.
    pub fn clear(&mut self) -> Result<(), KernelError> {
        let next_hops = self.applied.as_ref().map(|held| held.settings.clone());
        self.neighbours.rest();
        self.network.clear(next_hops.as_ref(), &self.options)?;
        self.stand_guard()?;
        self.watching.set(None);
        self.applied = None;
        Ok(())
    }
}

fn rejections(entries: &[&Entry], rejected: &BTreeMap<Origin, String>) -> Vec<Rejected> {
    rejected
        .iter()
        .filter_map(|(origin, error)| {
            entries.get(*origin).map(|entry| Rejected {
                key: entry.key(),
                digest: entry.digest(),
                error: error.clone(),
            })
        })
        .collect()
}
