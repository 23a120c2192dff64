//! The kernel's own events: something changed, look.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nfnetlink::nftables::Object;
use nfnetlink::{Error, EventSocket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::report::KernelError;
use super::rtnl::{Link, Rtnl, groups};

/// Changes within this time of the first are told together.
const TOGETHER: Duration = Duration::from_millis(5);

/// What the kernel told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// Others may have changed rules, routes, addresses or settings: inspect.
    Changed,
    /// An interface came up, or its MAC changed: announce all addresses again.
    Link,
}

/// Events of one network namespace. Changes made through the `Kernel` that this comes from
/// are left out as far as the kernel says who made them.
#[derive(Debug)]
pub struct Events {
    network: Rtnl,
    rules: EventSocket,
    own_network: u32,
    own_rules: u32,
    links: BTreeMap<u32, (bool, Option<[u8; 6]>)>,
}

impl Events {
    /// Subscribes, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`KernelError`] where a socket cannot be opened.
    pub(super) fn open(own_network: u32, own_rules: u32) -> Result<Self, KernelError> {
        let failed = |source| KernelError::System {
            action: "subscribe to changes of routes",
            source,
        };
        let network = Rtnl::open_with_groups(groups::ALL).map_err(failed)?;
        let links = Rtnl::open()
            .and_then(|mut rtnl| rtnl.links())
            .map_err(failed)?;
        Ok(Self {
            network,
            rules: EventSocket::open().map_err(|e| KernelError::Rules(e.to_string()))?,
            own_network,
            own_rules,
            links: links.iter().map(|link| (link.index, state(link))).collect(),
        })
    }

    /// Waits until something happened, or for `timeout`; each event once, in order.
    ///
    /// # Errors
    /// [`KernelError`] where a socket fails; lost messages are no error but a change.
    pub fn wait(&mut self, timeout: Duration) -> Result<Vec<Event>, KernelError> {
        let end = Instant::now() + timeout;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if !self.ready(left)? {
                return Ok(Vec::new());
            }
            let mut seen = self.take()?;
            if seen.is_empty() {
                continue;
            }
            while self.ready(TOGETHER)? && seen.len() < 2 {
                let more = self.take()?;
                if more.is_empty() {
                    break;
                }
                seen.extend(more);
            }
            seen.sort_unstable();
            seen.dedup();
            return Ok(seen);
        }
    }

    fn ready(&self, timeout: Duration) -> Result<bool, KernelError> {
        let network = self.network.as_fd();
        let rules = self.rules.as_fd();
        let mut fds = [
            PollFd::new(&network, PollFlags::IN),
            PollFd::new(&rules, PollFlags::IN),
        ];
        let timeout = Timespec::try_from(timeout).ok();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(KernelError::System {
                action: "wait for changes",
                source: errno.into(),
            }),
        }
    }

    fn take(&mut self) -> Result<Vec<Event>, KernelError> {
        let mut seen = Vec::new();
        let own = self.own_network;
        let links = &mut self.links;
        let lost = self
            .network
            .changes(|kind, port, body| {
                if port != own {
                    seen.push(Event::Changed);
                }
                if let Some(link) = Link::read(kind, body) {
                    let now = state(&link);
                    let before = links.insert(link.index, now);
                    if now.0 && before != Some(now) {
                        seen.push(Event::Link);
                    }
                }
            })
            .map_err(|source: io::Error| KernelError::System {
                action: "read changes of routes",
                source,
            })?;
        if lost {
            seen.extend([Event::Changed, Event::Link]);
        }
        loop {
            match self.rules.try_next() {
                Ok(None) => break,
                Ok(Some(event)) => {
                    let is_end = matches!(event.object, Object::Generation { .. });
                    if is_end && event.port != self.own_rules {
                        seen.push(Event::Changed);
                    }
                }
                Err(Error::Overrun | Error::Wire(_)) => seen.push(Event::Changed),
                Err(error) => return Err(KernelError::Rules(error.to_string())),
            }
        }
        seen.sort_unstable();
        seen.dedup();
        Ok(seen)
    }
}

/// Whether it carries packets, and its MAC.
fn state(link: &Link) -> (bool, Option<[u8; 6]>) {
    (link.up && link.carrier, link.mac)
}
