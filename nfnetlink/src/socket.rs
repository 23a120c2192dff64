//! The netfilter netlink socket: requests and dumps.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, bind,
    connect, getsockname, recv, sendmsg, socket_with, sockopt,
};

use crate::wire::{
    Ack, Message, MessageHeader, Messages, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST,
    NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, WireError, Writer,
};
use crate::{Errno, Error, sockopt as netlink_sockopt};

/// Bytes of the receive buffer in the kernel, if allowed.
const RECEIVE_BYTES: usize = 8 << 20;
/// The largest datagram that the kernel builds for us is smaller than this.
const DATAGRAM_BYTES: usize = 256 << 10;
/// How often a dump is repeated that changes disturb.
pub(crate) const DUMP_TRIES: u32 = 16;
/// Sequence numbers of questions; those of batches start at 0.
const FIRST_SEQ: u32 = 1 << 31;

/// A netlink socket of the netfilter subsystems (`NETLINK_NETFILTER`).
///
/// Needs `CAP_NET_ADMIN` in the namespace's owner for everything but opening.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    seq: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn open() -> Result<Self, Error> {
        Self::open_with_groups(0)
    }

    /// `groups` is a bit mask of multicast groups.
    pub(crate) fn open_with_groups(groups: u32) -> Result<Self, Error> {
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(NETFILTER),
        )
        .map_err(Error::io("socket"))?;
        netlink_sockopt::set_extended_errors(&fd)?;
        let mut socket = Self {
            fd,
            seq: FIRST_SEQ,
            buffer: vec![0; DATAGRAM_BYTES],
        };
        socket.reserve_receive(RECEIVE_BYTES)?;
        bind(&socket.fd, &SocketAddrNetlink::new(0, groups)).map_err(Error::io("bind"))?;
        // A connected netlink socket takes unicasts from its peer only: the kernel.
        connect(&socket.fd, &SocketAddrNetlink::new(0, 0)).map_err(Error::io("connect"))?;
        Ok(socket)
    }

    /// The socket's port id, which the kernel names as the owner of tables and as the origin
    /// of events.
    pub fn port(&self) -> Result<u32, Error> {
        let address = getsockname(&self.fd).map_err(Error::io("getsockname"))?;
        let address = SocketAddrNetlink::try_from(address).map_err(Error::io("getsockname"))?;
        Ok(address.pid())
    }

    /// Makes the receive buffer this large: by force if allowed, else as far as the limit
    /// `net.core.rmem_max` goes.
    pub(crate) fn reserve_receive(&mut self, bytes: usize) -> Result<(), Error> {
        let bytes = bytes.min(1 << 29);
        if sockopt::set_socket_recv_buffer_size_force(&self.fd, bytes).is_err() {
            sockopt::set_socket_recv_buffer_size(&self.fd, bytes)
                .map_err(Error::io("setsockopt"))?;
        }
        Ok(())
    }

    /// Makes the send buffer hold a datagram of this size, by force if allowed. Says how
    /// large a datagram may be.
    pub(crate) fn reserve_send(&mut self, bytes: usize) -> Result<usize, Error> {
        let limit = || {
            let size = sockopt::socket_send_buffer_size(&self.fd);
            // netlink_sendmsg() wants 32 bytes more than the datagram.
            Ok(size.map_err(Error::io("getsockopt"))?.saturating_sub(32))
        };
        let old = limit()?;
        if bytes <= old {
            return Ok(old);
        }
        // The kernel doubles what is asked for.
        let want = bytes.saturating_add(1 << 16).min(1 << 29);
        if sockopt::set_socket_send_buffer_size_force(&self.fd, want).is_err() {
            sockopt::set_socket_send_buffer_size(&self.fd, want)
                .map_err(Error::io("setsockopt"))?;
        }
        limit()
    }

    /// Sends one datagram made of several pieces.
    pub(crate) fn send(&self, pieces: &[&[u8]]) -> Result<(), Errno> {
        let pieces: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut control = SendAncillaryBuffer::default();
        loop {
            match sendmsg(&self.fd, &pieces, &mut control, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Receives one datagram; `None` if there is none and `flags` forbid to wait.
    pub(crate) fn receive(&mut self, wait: bool) -> Result<Option<&[u8]>, Error> {
        let mut flags = RecvFlags::TRUNC;
        if !wait {
            flags |= RecvFlags::DONTWAIT;
        }
        loop {
            match recv(&self.fd, &mut self.buffer[..], flags) {
                Ok((_, len)) if len > DATAGRAM_BYTES => {
                    return Err(Error::Wire(WireError::Truncated {
                        what: "datagram",
                        need: len,
                        have: DATAGRAM_BYTES,
                    }));
                }
                Ok((len, _)) => return Ok(Some(self.buffer.get(..len).unwrap_or_default())),
                Err(Errno::AGAIN) if !wait => return Ok(None),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::io("recv")(errno)),
            }
        }
    }

    /// Reads away what earlier calls left behind.
    pub(crate) fn drain(&mut self) {
        loop {
            match self.receive(false) {
                Ok(None) | Err(Error::Io { .. }) => return,
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }

    fn ask(&mut self, header: MessageHeader, body: impl FnOnce(&mut Writer)) -> Result<u32, Error> {
        self.drain();
        self.seq = self.seq.wrapping_add(1) | FIRST_SEQ;
        let mut writer = Writer::new();
        let header = MessageHeader {
            seq: self.seq,
            flags: header.flags | NLM_F_REQUEST,
            ..header
        };
        writer.message(header, body);
        let bytes = writer.finish()?;
        self.send(&[&bytes]).map_err(Error::io("sendmsg"))?;
        Ok(self.seq)
    }

    /// Asks one question and hands each message of the answer to `take`. The request is
    /// acknowledged, so the end is known.
    pub(crate) fn request(
        &mut self,
        request: &'static str,
        header: MessageHeader,
        body: impl FnOnce(&mut Writer),
        mut take: impl FnMut(&Message<'_>) -> Result<(), WireError>,
    ) -> Result<(), Error> {
        let header = MessageHeader {
            flags: header.flags | NLM_F_ACK,
            ..header
        };
        let seq = self.ask(header, body)?;
        loop {
            let bytes = self.receive(true)?.unwrap_or_default();
            for message in Messages::new(bytes) {
                let message = message?;
                if message.seq != seq {
                    continue;
                }
                match message.ack()? {
                    Some(ack) if ack.errno == 0 => return Ok(()),
                    Some(ack) => return Err(refused(request, ack)),
                    None => take(&message)?,
                }
            }
        }
    }

    /// Lists objects; `take` gets each message. Says whether the list is consistent; if not,
    /// what `take` got is to be thrown away.
    pub(crate) fn dump_once(
        &mut self,
        request: &'static str,
        header: MessageHeader,
        body: impl FnOnce(&mut Writer),
        mut take: impl FnMut(&Message<'_>) -> Result<(), WireError>,
    ) -> Result<bool, Error> {
        let header = MessageHeader {
            flags: header.flags | NLM_F_DUMP,
            ..header
        };
        let seq = self.ask(header, body)?;
        let mut consistent = true;
        loop {
            let bytes = self.receive(true)?.unwrap_or_default();
            for message in Messages::new(bytes) {
                let message = message?;
                if message.seq != seq {
                    continue;
                }
                consistent &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE => return done(request, &message).map(|()| consistent),
                    NLMSG_ERROR => {
                        if let Some(ack) = message.ack()? {
                            return match ack.errno {
                                0 => Ok(consistent),
                                // A dump that was disturbed so much that it could not go on.
                                errno if errno == Errno::INTR.raw_os_error() => Ok(false),
                                _ => Err(refused(request, ack)),
                            };
                        }
                    }
                    NLMSG_NOOP => {}
                    _ => take(&message)?,
                }
            }
        }
    }

    /// Lists objects until the list is consistent in itself.
    pub(crate) fn dump<T>(
        &mut self,
        request: &'static str,
        header: MessageHeader,
        body: impl Fn(&mut Writer),
        read: impl Fn(&Message<'_>) -> Result<Option<T>, WireError>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_TRIES {
            let mut found = Vec::new();
            let consistent = self.dump_once(request, header, &body, |message| {
                found.extend(read(message)?);
                Ok(())
            })?;
            if consistent {
                return Ok(found);
            }
        }
        Err(Error::Unsettled {
            request,
            tries: DUMP_TRIES,
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The end of a dump holds an error number, 0 or negative.
fn done(request: &'static str, message: &Message<'_>) -> Result<(), Error> {
    let code = message.body.first_chunk::<4>().copied().unwrap_or_default();
    match i32::from_ne_bytes(code) {
        0.. => Ok(()),
        code => Err(Error::Refused {
            request,
            errno: Errno::from_raw_os_error(code.saturating_neg()),
            text: None,
        }),
    }
}

pub(crate) fn refused(request: &'static str, ack: Ack) -> Error {
    Error::Refused {
        request,
        errno: Errno::from_raw_os_error(ack.errno),
        text: ack.text,
    }
}
