//! Listing, deleting and flushing flows.

use super::flow::{CTA_ID, CTA_MARK, CTA_MARK_MASK, CTA_TUPLE_ORIG, CTA_ZONE};
use super::{Flow, FlowFilter, Tuple};
use crate::wire::{AttrMap, MessageHeader, NFNL_SUBSYS_CTNETLINK, WireError};
use crate::{Errno, Error, Socket};

/// `enum cntl_msg_types` (`linux/netfilter/nfnetlink_conntrack.h`).
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const IPCTNL_MSG_CT_GET_STATS: u16 = 5;
/// `enum ctattr_stats_global`.
const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;

/// What a flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// How many flows went; `None` where the kernel flushed by itself, as it does not count.
    pub deleted: Option<u64>,
}

fn header(message: u16, family: u8) -> MessageHeader {
    MessageHeader {
        kind: NFNL_SUBSYS_CTNETLINK << 8 | message,
        family,
        // With version 0 a deletion is of all families.
        version: 1,
        ..MessageHeader::default()
    }
}

impl Socket {
    /// Lists the flows that a filter means, of both families; the kernel filters if it can
    /// (≥ 5.8).
    pub fn flows(&mut self, filter: &FlowFilter) -> Result<Vec<Flow>, Error> {
        self.dump(
            "IPCTNL_MSG_CT_GET",
            header(IPCTNL_MSG_CT_GET, filter.family()),
            |w| {
                if !filter.is_everything() && filter.in_kernel() {
                    filter.write(w);
                }
            },
            |message| {
                let flow = Flow::read(message.netfilter()?.1)?;
                Ok(filter.matches(&flow).then_some(flow))
            },
        )
    }

    /// Lists the flows of both families for which `wanted` holds. Only those are kept in
    /// memory.
    pub fn flows_where(&mut self, wanted: impl Fn(&Flow) -> bool) -> Result<Vec<Flow>, Error> {
        self.dump(
            "IPCTNL_MSG_CT_GET",
            header(IPCTNL_MSG_CT_GET, 0),
            |_| {},
            |message| {
                let flow = Flow::read(message.netfilter()?.1)?;
                Ok(wanted(&flow).then_some(flow))
            },
        )
    }

    /// Hands over the reply tuple of each flow of both families whose mark is `mark` where
    /// `mask` has bits. Keeps nothing in memory. Flows that come or go meanwhile may be
    /// missed, and one may come twice.
    pub fn each_reply(
        &mut self,
        (mark, mask): (u32, u32),
        mut take: impl FnMut(&Tuple),
    ) -> Result<(), Error> {
        self.dump_once(
            "IPCTNL_MSG_CT_GET",
            header(IPCTNL_MSG_CT_GET, 0),
            |w| {
                w.put_u32_be(CTA_MARK, mark);
                w.put_u32_be(CTA_MARK_MASK, mask);
            },
            |message| {
                take(&Flow::read_reply(message.netfilter()?.1)?);
                Ok(())
            },
        )
        .map(|_| ())
    }

    /// How many flows there are.
    pub fn flow_count(&mut self) -> Result<u32, Error> {
        let mut count = None;
        self.request(
            "IPCTNL_MSG_CT_GET_STATS",
            header(IPCTNL_MSG_CT_GET_STATS, 0),
            |_| {},
            |message| {
                count = AttrMap::parse(message.netfilter()?.1)?.u32_be(CTA_STATS_GLOBAL_ENTRIES)?;
                Ok(())
            },
        )?;
        count.ok_or(Error::Wire(WireError::Missing("CTA_STATS_GLOBAL_ENTRIES")))
    }

    /// Deletes one flow as listed. Says whether it was still there: the same entry, not a
    /// later one with the same addresses.
    pub fn delete_flow(&mut self, flow: &Flow) -> Result<bool, Error> {
        let family = FlowFilter::orig_src(flow.orig.src).family();
        let result = self.request(
            "IPCTNL_MSG_CT_DELETE",
            header(IPCTNL_MSG_CT_DELETE, family),
            |w| {
                w.nest(CTA_TUPLE_ORIG, |w| flow.orig.write(w));
                if flow.zone != 0 {
                    w.put_u16_be(CTA_ZONE, flow.zone);
                }
                w.put_u32_be(CTA_ID, flow.id);
            },
            |_| Ok(()),
        );
        match result {
            Ok(()) => Ok(true),
            Err(Error::Refused {
                errno: Errno::NOENT,
                ..
            }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes the flows that a filter means; without any condition, all flows.
    ///
    /// The kernel does it in one go if it can. Where it cannot (older kernels; ports of other
    /// protocols than TCP and UDP), the flows are listed and deleted one by one.
    pub fn flush_flows(&mut self, filter: &FlowFilter) -> Result<Flushed, Error> {
        if !filter.in_kernel() {
            return self.flush_flows_counted(filter);
        }
        // A kernel that does not know CTA_FILTER takes the incomplete tuple for a whole one
        // and refuses it; it never takes it for "all".
        let result = self.request(
            "IPCTNL_MSG_CT_DELETE",
            header(IPCTNL_MSG_CT_DELETE, filter.family()),
            |w| {
                if !filter.is_everything() {
                    filter.write(w);
                }
            },
            |_| Ok(()),
        );
        match result {
            Ok(()) => Ok(Flushed { deleted: None }),
            Err(Error::Refused {
                errno: Errno::OPNOTSUPP | Errno::INVAL,
                ..
            }) => self.flush_flows_counted(filter),
            Err(error) => Err(error),
        }
    }

    /// Like [`Socket::flush_flows`], one by one, and so with their number.
    pub fn flush_flows_counted(&mut self, filter: &FlowFilter) -> Result<Flushed, Error> {
        let mut deleted = 0;
        for flow in self.flows(filter)? {
            deleted += u64::from(self.delete_flow(&flow)?);
        }
        Ok(Flushed {
            deleted: Some(deleted),
        })
    }
}
