//! Subscriptions.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use crate::nftables::Event;
use crate::wire::Messages;
use crate::{Error, Socket};

/// `NFNLGRP_NFTABLES` (`linux/netfilter/nfnetlink.h`).
const NFNLGRP_NFTABLES: u32 = 7;

/// A socket that receives every change of rules in its network namespace.
#[derive(Debug)]
pub struct EventSocket {
    socket: Socket,
    pending: VecDeque<Event>,
}

impl EventSocket {
    /// Subscribes to `NFNLGRP_NFTABLES` in the network namespace of the calling thread.
    pub fn open() -> Result<Self, Error> {
        Ok(Self {
            socket: Socket::open_with_groups(1 << (NFNLGRP_NFTABLES - 1))?,
            pending: VecDeque::new(),
        })
    }

    /// The next event; `None` if there is none yet. After [`Error::Overrun`] events are lost
    /// and the caller must dump; later events follow.
    pub fn try_next(&mut self) -> Result<Option<Event>, Error> {
        self.advance(false)
    }

    /// The next event, waiting for it.
    pub fn wait(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.advance(true)? {
                return Ok(event);
            }
        }
    }

    fn advance(&mut self, wait: bool) -> Result<Option<Event>, Error> {
        while self.pending.is_empty() {
            let Some(datagram) = self.socket.receive(wait)? else {
                return Ok(None);
            };
            for message in Messages::new(datagram) {
                self.pending.extend(Event::read(&message?)?);
            }
        }
        Ok(self.pending.pop_front())
    }
}

impl AsFd for EventSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
