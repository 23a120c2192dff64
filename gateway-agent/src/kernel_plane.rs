//! The kernel as the agent's data plane: errors and facts in its words.

use std::net::IpAddr;
use std::time::Duration;

use sluice_core::agent::{Found, Inspection, Notice};
use sluice_core::config::Snapshot;
use sluice_core::identity::Revision;
use sluice_core::ports::Sample;
use sluice_crds::internal::{Problem, RejectedEntry, UnusableAddress, UplinkOwnAddress};

use crate::dataplane::{DataPlane, Done, Usage, Watch};
use crate::kernel::{self, Flush, Kernel, KernelOptions};

/// More flushes than this are one of all strays.
const OWED_MAX: usize = 64;

/// The kernel, and what is still to be flushed.
#[derive(Debug)]
pub struct KernelPlane {
    kernel: Kernel,
    owed: Vec<Flush>,
    /// Connections may stand that contradict the rules and that nothing in `owed` names:
    /// rules were changed by an earlier process, by a change that failed half-way, by a
    /// clear or by others.
    strays: bool,
}

impl KernelPlane {
    /// Opens the data plane of the calling thread's network namespace.
    ///
    /// # Errors
    /// In the kernel's words.
    pub fn open(options: KernelOptions) -> Result<Self, String> {
        Ok(Self {
            kernel: Kernel::open(options).map_err(text)?,
            owed: Vec::new(),
            strays: true,
        })
    }

    /// Flushes strays, which are all that is owed too.
    fn flush_strays(&mut self) -> Result<(), String> {
        let flushed = self.kernel.flush_strays().map_err(text)?;
        if flushed > 0 {
            tracing::info!(flushed, "connections flushed that contradict the rules");
        }
        self.strays = false;
        self.owed.clear();
        Ok(())
    }
}

fn text(error: kernel::KernelError) -> String {
    error.to_string()
}

impl DataPlane for KernelPlane {
    fn guard(&mut self) -> Result<(), String> {
        let put_up = self.kernel.guard().map_err(text)?;
        tracing::info!(put_up, "guards stand");
        Ok(())
    }

    fn found(&mut self) -> Result<Option<Found>, String> {
        let stamp = self.kernel.stamp().map_err(text)?;
        Ok(stamp.map(|stamp| Found {
            revision: stamp.revision,
            digest: stamp.digest,
            answering: stamp.holding,
        }))
    }

    fn apply(
        &mut self,
        snapshot: &Snapshot,
        revision: &Revision,
        holding: bool,
    ) -> Result<Done, String> {
        // Where this fails, rules may be changed and nobody knows which.
        let strays = std::mem::replace(&mut self.strays, true);
        let applied = self
            .kernel
            .apply(snapshot, revision, holding)
            .map_err(text)?;
        if let Some(flush) = &applied.flush {
            self.kernel.flush(flush).map_err(text)?;
        }
        self.strays = strays || self.owed.len() >= OWED_MAX;
        let flush_again = applied.flush.is_some();
        if self.strays {
            self.owed.clear();
        } else {
            self.owed.extend(applied.flush);
        }
        Ok(Done {
            rejected: applied
                .rejected
                .into_iter()
                .map(|rejected| RejectedEntry {
                    key: rejected.key,
                    digest: rejected.digest.short(),
                    error: rejected.error,
                })
                .collect(),
            flush_again,
            changed: applied.changed,
        })
    }

    fn flush(&mut self) -> Result<(), String> {
        if self.strays {
            return self.flush_strays();
        }
        while let Some(flush) = self.owed.last() {
            self.kernel.flush(flush).map_err(text)?;
            self.owed.pop();
        }
        Ok(())
    }

    fn announce(&mut self, addresses: &[IpAddr]) -> Result<(), String> {
        let frames = self.kernel.announce(addresses).map_err(text)?;
        tracing::debug!(addresses = addresses.len(), frames, "announced");
        Ok(())
    }

    fn probe(
        &mut self,
        addresses: &[IpAddr],
        wait: Duration,
    ) -> Result<Vec<(IpAddr, String)>, String> {
        let conflicts = self.kernel.probe_conflict(addresses, wait).map_err(text)?;
        Ok(conflicts
            .into_iter()
            .map(|conflict| {
                let who = format!("{} on {}", mac(conflict.mac), conflict.interface);
                (conflict.address, who)
            })
            .collect())
    }

    fn inspect(&mut self) -> Result<Inspection, String> {
        let seen = self.kernel.inspect().map_err(text)?;
        Ok(Inspection {
            drift: seen.drift,
            neighbours: seen.neighbours,
            // The pod's own kernel serves.
            hosting: None,
            mended: i64::try_from(seen.mended).unwrap_or(i64::MAX),
            unusable: seen
                .unusable
                .into_iter()
                .map(|unusable| UnusableAddress {
                    address: unusable.address.to_string(),
                    // The variants are the words of the API.
                    reason: format!("{:?}", unusable.reason),
                    message: unusable.message,
                })
                .collect(),
            problems: seen
                .problems
                .into_iter()
                .map(|problem| Problem {
                    reason: format!("{:?}", problem.kind),
                    message: problem.message,
                    blocking: problem.blocking,
                })
                .collect(),
            uplinks: seen
                .uplinks
                .into_iter()
                .map(|uplink| UplinkOwnAddress {
                    name: uplink.name,
                    mac: uplink.mac.map(mac),
                    ipv4: uplink.ipv4.map(|address| address.to_string()),
                    ipv6: uplink.ipv6.map(|address| address.to_string()),
                })
                .collect(),
        })
    }

    fn repair(&mut self) -> Result<i64, String> {
        let mended = self.kernel.repair().map_err(text)?;
        if mended.rules {
            self.strays = true;
            self.flush_strays()?;
        }
        Ok(i64::try_from(mended.changed).unwrap_or(i64::MAX))
    }

    fn clear(&mut self) -> Result<(), String> {
        self.strays = true;
        self.owed.clear();
        self.kernel.clear().map_err(text)
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>, String> {
        let events = self.kernel.events().map_err(text)?;
        Ok(Box::new(KernelWatch(events)))
    }

    fn usage(&mut self) -> Result<Option<Box<dyn Usage>>, String> {
        let usage = self.kernel.usage().map_err(text)?;
        Ok(Some(Box::new(KernelUsage(usage))))
    }
}

struct KernelUsage(kernel::Usage);

impl Usage for KernelUsage {
    fn sample(&mut self) -> Result<Option<Sample>, String> {
        self.0.sample().map_err(text)
    }
}

struct KernelWatch(kernel::Events);

impl Watch for KernelWatch {
    fn wait(&mut self, timeout: Duration) -> Result<Vec<Notice>, String> {
        let events = self.0.wait(timeout).map_err(text)?;
        Ok(events.into_iter().map(notice).collect())
    }
}

fn notice(event: kernel::Event) -> Notice {
    match event {
        kernel::Event::Changed => Notice::Changed,
        kernel::Event::Link => Notice::Link,
    }
}

/// A MAC address as people write it.
fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}
