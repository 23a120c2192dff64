//! Runs checks and says which failed, and why.

use std::io;
use std::time::Duration;

use crate::act::Act;
use crate::check::{Check, Step};
use crate::hosts::Hosts;
use crate::packet::{Body, Packet};
use crate::plan::{Family, Host, Own, Segment};

/// How patient a run is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For what must arrive.
    pub wait: Duration,
    /// Before nothing else is said to arrive.
    pub quiet: Duration,
}

impl Patience {
    /// On a whole gateway: waiting costs nothing where all arrives.
    pub const WHOLE: Self = Self {
        wait: Duration::from_secs(2),
        quiet: Duration::from_millis(30),
    };
    /// On a damaged gateway, where much does not arrive.
    pub const DAMAGED: Self = Self {
        wait: Duration::from_millis(150),
        // What it does wrong must be there by then, also on a busy machine.
        quiet: Duration::from_millis(120),
    };
}

/// In which time questions that come all at once are answered.
const AT_ONCE: Duration = Duration::from_millis(200);
/// How often they are asked: another program may have the processor for that long.
const TRIES: usize = 3;

/// The gateway under test, as far as checks change it.
pub trait Gateway {
    /// Runs a shell script in its network namespace; what it printed.
    ///
    /// # Errors
    /// What it said where it failed.
    fn script(&mut self, script: &str) -> Result<String, String>;

    /// Waits until the agent has mended what was broken and announced what it must; on a
    /// damaged gateway nobody does.
    ///
    /// # Errors
    /// What is still broken.
    fn mended(&mut self) -> Result<(), String>;
}

/// Runs a check, and leaves the gateway as it was before.
///
/// # Errors
/// What went another way than the check says; the links' and the gateway's errors too.
pub fn run(
    hosts: &mut Hosts,
    gateway: &mut impl Gateway,
    check: &Check,
    patience: Patience,
) -> Result<(), String> {
    let mut acts = Acts {
        family: check.family,
        done: Vec::new(),
    };
    let ran = steps(hosts, gateway, &mut acts, check, patience);
    let undone = acts.undo(gateway);
    ran.and(undone)
}

/// What was done to the gateway, and what was so before.
struct Acts {
    family: Family,
    done: Vec<(Act, String)>,
}

impl Acts {
    fn act(&mut self, gateway: &mut impl Gateway, act: Act) -> Result<(), String> {
        let before = gateway.script(&act.remember())?;
        // What was done by half is undone too.
        self.done.push((act, before));
        gateway.script(&act.script(self.family)).map(drop)
    }

    fn undo(self, gateway: &mut impl Gateway) -> Result<(), String> {
        if self.done.is_empty() {
            return Ok(());
        }
        for (act, before) in self.done.iter().rev() {
            gateway.script(&act.undo(before))?;
        }
        gateway.mended()
    }
}

fn steps(
    hosts: &mut Hosts,
    gateway: &mut impl Gateway,
    acts: &mut Acts,
    check: &Check,
    patience: Patience,
) -> Result<(), String> {
    let io = |error: io::Error| error.to_string();
    hosts.forget().map_err(io)?;
    for (at, step) in check.steps.iter().enumerate() {
        let at = at + 1;
        match step {
            Step::Send { host, via, packet } => {
                let via = via.unwrap_or_else(|| match host.segment() {
                    Segment::Inside => Own::Lan.address(check.family),
                    Segment::Outside | Segment::Second | Segment::Pods => packet.to,
                });
                if !hosts.send(*host, via, packet, patience.wait).map_err(io)? {
                    return Err(format!(
                        "step {at}: nobody says to {host:?} that it has {via}"
                    ));
                }
            }
            Step::Arrives { host, packet } => {
                if !hosts.expect(*host, packet, patience.wait).map_err(io)? {
                    let rest = hosts.rest(Duration::ZERO).map_err(io)?;
                    return Err(format!(
                        "step {at}: {host:?} did not receive {:?}; arrived: {:?}",
                        brief(packet),
                        briefly(&rest),
                    ));
                }
            }
            Step::Asks {
                host,
                address,
                answered,
            } => {
                let wait = if *answered {
                    patience.wait
                } else {
                    patience.quiet * 4
                };
                hosts.forget_neighbour(*host, *address);
                let is = hosts.resolve(*host, *address, wait).map_err(io)?.is_some();
                if is != *answered {
                    return Err(format!(
                        "step {at}: {host:?} asked for {address}: answered {is}, not {answered}"
                    ));
                }
            }
            Step::AsksOften {
                host,
                addresses,
                times,
            } => {
                let mut best = None;
                for _ in 0..TRIES {
                    let took = hosts.resolve_often(*host, addresses, *times, patience.wait);
                    best = took.map_err(io)?.into_iter().chain(best).min();
                    if best.is_some_and(|took| took < AT_ONCE) {
                        break;
                    }
                }
                if best.is_none_or(|took| took >= AT_ONCE) {
                    return Err(format!(
                        "step {at}: {times} questions of {host:?} were answered after {best:?}"
                    ));
                }
            }
            Step::Claims { host, address } => hosts.claim(*host, *address).map_err(io)?,
            Step::Announced { host, address } => {
                if !hosts.hear(*host, *address, patience.wait).map_err(io)? {
                    return Err(format!(
                        "step {at}: {host:?} did not hear who has {address}"
                    ));
                }
            }
            Step::Does(act) => {
                acts.act(gateway, *act)?;
                gateway.mended()?;
            }
        }
    }
    let rest = hosts.rest(patience.quiet).map_err(io)?;
    if rest.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "nothing more should arrive, and this did: {:?}",
            briefly(&rest)
        ))
    }
}

fn briefly(all: &[(Host, Packet)]) -> Vec<(Host, Packet)> {
    let one = |(host, packet): &(Host, Packet)| (*host, brief(packet));
    all.iter().map(one).collect()
}

/// A packet with the first bytes of its payload.
fn brief(packet: &Packet) -> Packet {
    let mut packet = packet.clone();
    match &mut packet.body {
        Body::Udp { data, .. }
        | Body::Tcp { data, .. }
        | Body::Echo { data, .. }
        | Body::Other { data, .. } => data.truncate(12),
        Body::Error { about, .. } => **about = brief(about),
    }
    packet
}
