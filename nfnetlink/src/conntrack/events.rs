//! Subscriptions to flows.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use super::Flow;
use crate::wire::{Message, Messages, NFNL_SUBSYS_CTNETLINK, NLM_F_CREATE, WireError};
use crate::{Error, Socket};

/// `NFNLGRP_CONNTRACK_NEW`, `_UPDATE`, `_DESTROY` (`linux/netfilter/nfnetlink.h`).
const NFNLGRP_CONNTRACK_NEW: u32 = 1;
const NFNLGRP_CONNTRACK_UPDATE: u32 = 2;
const NFNLGRP_CONNTRACK_DESTROY: u32 = 3;
/// `enum cntl_msg_types`.
const IPCTNL_MSG_CT_NEW: u16 = 0;
const IPCTNL_MSG_CT_DELETE: u16 = 2;

/// What happened to a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowChange {
    /// It began.
    New,
    /// It changed.
    Update,
    /// It is gone.
    Destroy,
}

/// Something that happened to a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowEvent {
    /// What happened.
    pub change: FlowChange,
    /// The flow; counters are those at its end.
    pub flow: Flow,
}

impl FlowEvent {
    /// Reads a message of the conntrack subsystem; `None` for others.
    pub fn read(message: &Message<'_>) -> Result<Option<Self>, WireError> {
        if message.kind >> 8 != NFNL_SUBSYS_CTNETLINK {
            return Ok(None);
        }
        let change = match message.kind & 0xff {
            IPCTNL_MSG_CT_NEW if message.flags & NLM_F_CREATE != 0 => FlowChange::New,
            IPCTNL_MSG_CT_NEW => FlowChange::Update,
            IPCTNL_MSG_CT_DELETE => FlowChange::Destroy,
            _ => return Ok(None),
        };
        let flow = Flow::read(message.netfilter()?.1)?;
        Ok(Some(Self { change, flow }))
    }
}

/// A socket that receives what happens to flows. Flows that began before it was opened may
/// go unreported.
#[derive(Debug)]
pub struct FlowEventSocket {
    socket: Socket,
    pending: VecDeque<FlowEvent>,
}

impl FlowEventSocket {
    /// Subscribes to flows beginning and ending, and to their changes if asked to, in the
    /// network namespace of the calling thread.
    pub fn open(updates: bool) -> Result<Self, Error> {
        let mut groups = 1 << (NFNLGRP_CONNTRACK_NEW - 1) | 1 << (NFNLGRP_CONNTRACK_DESTROY - 1);
        if updates {
            groups |= 1 << (NFNLGRP_CONNTRACK_UPDATE - 1);
        }
        Ok(Self {
            socket: Socket::open_with_groups(groups)?,
            pending: VecDeque::new(),
        })
    }

    /// The socket's port id.
    pub fn port(&self) -> Result<u32, Error> {
        self.socket.port()
    }

    /// The next event; `None` if there is none yet. After [`Error::Overrun`] events are lost.
    pub fn try_next(&mut self) -> Result<Option<FlowEvent>, Error> {
        while self.pending.is_empty() {
            let Some(datagram) = self.socket.receive(false)? else {
                return Ok(None);
            };
            for message in Messages::new(datagram) {
                self.pending.extend(FlowEvent::read(&message?)?);
            }
        }
        Ok(self.pending.pop_front())
    }
}

impl AsFd for FlowEventSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
