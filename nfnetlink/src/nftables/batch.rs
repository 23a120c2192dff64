//! Batches: changes that take effect together or not at all.

mod change;
mod operation;

use std::ops::Range;

pub use operation::{Operation, OperationKind, Verb};

use super::element::NFTA_SET_ELEM_LIST_ELEMENTS;
use super::{Family, TableId};
use crate::wire::{
    Attrs, MessageHeader, NFGENMSG_LEN, NFNL_SUBSYS_NFTABLES, NLA_HDRLEN, NLM_F_ECHO,
    NLM_F_REQUEST, NLMSG_HDRLEN, WireError, Writer,
};

/// One message of a batch.
#[derive(Debug, Clone)]
struct Sent {
    /// Index of the operation that it belongs to.
    operation: usize,
    /// Where its bytes are.
    bytes: Range<usize>,
    /// How many elements of the operation earlier messages hold.
    elements_before: usize,
}

/// Changes that take effect together or not at all.
///
/// Operations are applied in order: what is referred to must come before what refers to
/// it, and removals in reverse. Each method returns the operation's index, which errors
/// name again.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    writer: Writer,
    operations: Vec<Operation>,
    messages: Vec<Sent>,
    sets: u32,
    echo: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch whose additions and removals the kernel sends back
    /// ([`super::Committed::echoed`]).
    pub fn with_echo() -> Self {
        Self {
            echo: true,
            ..Self::default()
        }
    }

    /// Whether the kernel is asked to send changes back.
    pub fn echo(&self) -> bool {
        self.echo
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The operations, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Bytes that the batch has on the wire, without its first and last message.
    pub fn wire_len(&self) -> usize {
        self.writer.len()
    }

    /// The messages, or the first value that does not fit the wire format.
    pub(crate) fn body(&self) -> Result<&[u8], WireError> {
        match self.writer.error() {
            Some(error) => Err(error.clone()),
            None => Ok(self.writer.as_bytes()),
        }
    }

    /// The operation of the message with this sequence number, and the index (among the
    /// operation's elements) of the element that holds the byte at `offset`.
    pub(crate) fn locate(&self, seq: u32, offset: Option<u32>) -> Option<(usize, Option<usize>)> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        let sent = self.messages.get(index)?;
        let element = offset.and_then(|offset| self.element_at(sent, offset));
        Some((sent.operation, element))
    }

    fn element_at(&self, sent: &Sent, offset: u32) -> Option<usize> {
        let operation = self.operations.get(sent.operation)?;
        if operation.kind != OperationKind::Elements {
            return None;
        }
        let offset = usize::try_from(offset).ok()?;
        let message = self.writer.as_bytes().get(sent.bytes.clone())?;
        let mut at = NLMSG_HDRLEN + NFGENMSG_LEN;
        for attr in Attrs::new(message.get(at..)?) {
            let attr = attr.ok()?;
            let end = at + NLA_HDRLEN + attr.payload.len();
            if attr.kind == NFTA_SET_ELEM_LIST_ELEMENTS {
                let mut at = at + NLA_HDRLEN;
                for (index, element) in attr.nested().enumerate() {
                    let next = at + NLA_HDRLEN + element.ok()?.payload.len().next_multiple_of(4);
                    if (at..next).contains(&offset) {
                        return Some(sent.elements_before + index);
                    }
                    at = next;
                }
            }
            at = end.next_multiple_of(4);
        }
        None
    }

    fn operation(&mut self, verb: Verb, kind: OperationKind, table: &TableId, name: &str) -> usize {
        self.operations.push(Operation {
            verb,
            kind,
            table: table.clone(),
            name: name.to_owned(),
        });
        self.operations.len() - 1
    }

    fn message(
        &mut self,
        operation: usize,
        elements_before: usize,
        message: u16,
        flags: u16,
        family: Family,
        body: impl FnOnce(&mut Writer),
    ) {
        let seq = u32::try_from(self.messages.len() + 1).unwrap_or(u32::MAX);
        // The kernel sends the new generation back if the first message asks for echoes.
        let echo = if self.echo || self.messages.is_empty() {
            NLM_F_ECHO
        } else {
            0
        };
        let header = MessageHeader {
            kind: NFNL_SUBSYS_NFTABLES << 8 | message,
            flags: NLM_F_REQUEST | flags | echo,
            seq,
            family: family.number(),
            ..MessageHeader::default()
        };
        let bytes = self.writer.message(header, body);
        self.messages.push(Sent {
            operation,
            bytes,
            elements_before,
        });
    }

    fn one(
        &mut self,
        what: (Verb, OperationKind),
        (table, name): (&TableId, &str),
        (message, flags): (u16, u16),
        body: impl FnOnce(&mut Writer),
    ) -> usize {
        let operation = self.operation(what.0, what.1, table, name);
        self.message(operation, 0, message, flags, table.family, body);
        operation
    }
}
