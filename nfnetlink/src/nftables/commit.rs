//! Sending a batch and learning what became of it.

use super::{Batch, Event, Generation, Object, Operation, OperationKind, TableFlags, Verb};
use crate::wire::{
    Ack, MessageHeader, Messages, NFNL_BATCH_GENID, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END,
    NFNL_SUBSYS_NFTABLES, NLM_F_REQUEST, WireError, Writer,
};
use crate::{Errno, Error, Socket};

/// Sequence number of the first message of a batch; the others count from 1.
const BEGIN_SEQ: u32 = 0;
/// Sequence number of the last message of a batch.
const END_SEQ: u32 = (1 << 31) - 1;

/// A batch that took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The generation that the batch made; `None` if it changed nothing.
    pub generation: Option<Generation>,
    /// With [`Batch::with_echo`]: what the kernel says was added and removed, in order.
    pub echoed: Vec<Event>,
}

/// A message of a batch that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Index of the operation ([`Batch::operations`]).
    pub index: usize,
    /// The operation.
    pub operation: Operation,
    /// Index of the element among those of the operation, if the kernel named it.
    pub element: Option<usize>,
    /// The error number.
    pub errno: Errno,
    /// The kernel's explanation (`NLMSGERR_ATTR_MSG`).
    pub message: Option<String>,
    /// Offset of the refused attribute in its message (`NLMSGERR_ATTR_OFFS`).
    pub offset: Option<u32>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "operation {} ({}", self.index, self.operation)?;
        if let Some(element) = self.element {
            write!(f, ", element {element}")?;
        }
        write!(f, "): {}", self.errno)?;
        match &self.message {
            Some(message) => write!(f, " ({message})"),
            None => Ok(()),
        }
    }
}

/// A batch that did not take effect, or of which that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The rules are of another generation than the batch was made for (`ERESTART`). Nothing
    /// was applied: dump, and make the batch again.
    #[error("rules changed since generation {expected}")]
    Stale {
        /// The generation that the batch was made for.
        expected: Generation,
    },
    /// The kernel refused a message. Nothing was applied.
    #[error("kernel refused {first}{}", if *more > 0 { format!(" and {more} more") } else { String::new() })]
    Refused {
        /// The first message refused.
        first: Box<Refusal>,
        /// How many more were refused.
        more: usize,
    },
    /// The kernel lacks a feature that the batch asks for. Nothing was applied.
    #[error("kernel lacks {feature}")]
    Unsupported {
        /// The kernel's name of the feature.
        feature: &'static str,
    },
    /// The caller lacks `CAP_NET_ADMIN`. Nothing was applied.
    #[error("not permitted: CAP_NET_ADMIN is needed")]
    NotPermitted,
    /// The batch is larger than the send buffer may become. Nothing was sent: split it, or
    /// raise `net.core.wmem_max`.
    #[error("batch has {bytes} bytes, the send buffer allows {limit}; raise net.core.wmem_max")]
    TooLarge {
        /// Bytes of the batch.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A value does not fit the wire format. Nothing was sent.
    #[error("batch: {0}")]
    Wire(WireError),
    /// The answer was lost: whether the batch took effect is not known. Dump.
    #[error("outcome unknown: {0}")]
    Unknown(Error),
    /// Sending failed. Nothing was applied.
    #[error(transparent)]
    Io(Error),
}

impl Socket {
    /// Sends a batch that takes effect as a whole or not at all.
    ///
    /// With a generation it takes effect only if the rules are still of that generation. An
    /// empty batch is not sent.
    pub fn commit(
        &mut self,
        batch: &Batch,
        generation: Option<Generation>,
    ) -> Result<Committed, BatchError> {
        let nothing = Committed {
            generation: None,
            echoed: Vec::new(),
        };
        if batch.is_empty() {
            return Ok(nothing);
        }
        let body = batch.body().map_err(BatchError::Wire)?;
        let begin = edge(NFNL_MSG_BATCH_BEGIN, BEGIN_SEQ, generation);
        let end = edge(NFNL_MSG_BATCH_END, END_SEQ, None);
        let bytes = begin.len() + body.len() + end.len();
        self.drain();
        let limit = self.reserve_send(bytes).map_err(BatchError::Io)?;
        if bytes > limit {
            return Err(BatchError::TooLarge { bytes, limit });
        }
        if batch.echo() {
            let want = bytes.saturating_mul(8).max(8 << 20);
            self.reserve_receive(want).map_err(BatchError::Io)?;
        }
        // The kernel works through the batch within the call; all answers are there after it.
        self.send(&[&begin, body, &end])
            .map_err(|errno| BatchError::Io(Error::io("sendmsg")(errno)))?;
        let mut acks = Vec::new();
        let mut committed = nothing;
        while let Some(datagram) = self.receive(false).map_err(BatchError::Unknown)? {
            read_answer(datagram, &mut acks, &mut committed)
                .map_err(|error| BatchError::Unknown(error.into()))?;
        }
        if !batch.echo() {
            // Those of the first message, which asks for the sake of the generation.
            committed.echoed.clear();
        }
        match failure(batch, generation, &acks) {
            Some(error) => Err(error),
            None => Ok(committed),
        }
    }
}

/// The first or last message of a batch.
fn edge(kind: u16, seq: u32, generation: Option<Generation>) -> Vec<u8> {
    let mut writer = Writer::new();
    let header = MessageHeader {
        kind,
        flags: NLM_F_REQUEST,
        seq,
        resource: NFNL_SUBSYS_NFTABLES,
        ..MessageHeader::default()
    };
    writer.message(header, |w| {
        if let Some(generation) = generation {
            w.put_u32_be(NFNL_BATCH_GENID, generation.0);
        }
    });
    writer.as_bytes().to_vec()
}

fn read_answer(
    datagram: &[u8],
    acks: &mut Vec<Ack>,
    committed: &mut Committed,
) -> Result<(), WireError> {
    for message in Messages::new(datagram) {
        let message = message?;
        if let Some(ack) = message.ack()? {
            if ack.errno != 0 {
                acks.push(ack);
            }
            continue;
        }
        match Event::read(&message)? {
            Some(Event {
                object: Object::Generation { generation, .. },
                ..
            }) => committed.generation = Some(generation),
            Some(event) => committed.echoed.push(event),
            None => {}
        }
    }
    Ok(())
}

fn failure(batch: &Batch, generation: Option<Generation>, acks: &[Ack]) -> Option<BatchError> {
    let first = acks.first()?;
    let errno = Errno::from_raw_os_error(first.errno);
    if let (Some(expected), ERESTART) = (generation, first.errno) {
        return Some(BatchError::Stale { expected });
    }
    let Some((index, element)) = batch.locate(first.seq, first.offset) else {
        return Some(match errno {
            Errno::PERM => BatchError::NotPermitted,
            errno => BatchError::Io(Error::Refused {
                request: "NFNL_MSG_BATCH_BEGIN",
                errno,
                text: first.text.clone(),
            }),
        });
    };
    let operation = batch.operations().get(index)?.clone();
    if let Some(feature) = lacking(&operation, errno) {
        return Some(BatchError::Unsupported { feature });
    }
    Some(BatchError::Refused {
        first: Box::new(Refusal {
            index,
            operation,
            element,
            errno,
            message: first.text.clone(),
            offset: first.offset,
        }),
        more: acks.len() - 1,
    })
}

/// `ERESTART` (`linux/errno.h`), which is not meant for user space and so has no name there.
const ERESTART: i32 = 85;

/// The feature that an old kernel lacks, if that is why it refused.
fn lacking(operation: &Operation, errno: Errno) -> Option<&'static str> {
    match (operation.verb, operation.kind, errno) {
        (Verb::Add, OperationKind::Table(flags), Errno::OPNOTSUPP | Errno::INVAL)
            if flags.contains(TableFlags::PERSIST) =>
        {
            Some("NFT_TABLE_F_PERSIST")
        }
        // Before 6.3 the message number is unknown.
        (Verb::Destroy, _, Errno::INVAL) => Some("NFT_MSG_DESTROY*"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
