//! The route netlink socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nfnetlink::wire::{
    Messages, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, getsockname, recv, sendto,
    socket_with, sockopt,
};

use super::Request;

/// Multicast groups as bits: group `n` is bit `n - 1` (`enum rtnetlink_groups`,
/// `linux/rtnetlink.h`).
pub mod groups {
    /// `RTNLGRP_LINK`.
    const LINK: u32 = 1 << 0;
    /// `RTNLGRP_TC`: classes of traffic.
    const TC: u32 = 1 << 3;
    /// `RTNLGRP_IPV4_IFADDR` and `RTNLGRP_IPV6_IFADDR`.
    const ADDRESS: u32 = 1 << 4 | 1 << 8;
    /// `RTNLGRP_IPV4_ROUTE` and `RTNLGRP_IPV6_ROUTE`.
    const ROUTE: u32 = 1 << 6 | 1 << 10;
    /// `RTNLGRP_IPV4_RULE` and `RTNLGRP_IPV6_RULE`.
    const RULE: u32 = 1 << 7 | 1 << 18;
    /// `RTNLGRP_IPV4_NETCONF` and `RTNLGRP_IPV6_NETCONF`: sysctls of interfaces.
    const NETCONF: u32 = 1 << 23 | 1 << 24;
    /// All that a gateway must hear of.
    pub const ALL: u32 = LINK | TC | ADDRESS | ROUTE | RULE | NETCONF;
}

/// Bytes of requests sent in one datagram.
const CHUNK_BYTES: usize = 32 << 10;
/// Requests in one datagram: their acknowledgements must fit the receive buffer.
const CHUNK_REQUESTS: usize = 128;
/// Bytes of the receive buffer, if allowed.
const RECEIVE_BYTES: usize = 4 << 20;
/// The largest datagram of the kernel.
const DATAGRAM_BYTES: usize = 256 << 10;
/// How often a dump is repeated that changes disturb.
const DUMP_TRIES: usize = 16;

/// A route netlink socket of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Rtnl {
    fd: OwnedFd,
    seq: u32,
    buffer: Vec<u8>,
}

impl Rtnl {
    /// Opens a socket for requests.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        Self::open_with_groups(0)
    }

    /// Opens a socket that also receives changes of the given groups.
    ///
    /// # Errors
    /// The system's.
    pub fn open_with_groups(groups: u32) -> io::Result<Self> {
        let kind = SocketType::RAW;
        let flags = SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::NETLINK, kind, flags, None)?;
        if sockopt::set_socket_recv_buffer_size_force(&fd, RECEIVE_BYTES).is_err() {
            sockopt::set_socket_recv_buffer_size(&fd, RECEIVE_BYTES)?;
        }
        bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self {
            fd,
            seq: 0,
            buffer: vec![0; DATAGRAM_BYTES],
        })
    }

    /// Sends requests and returns the kernel's answer to each, in order.
    ///
    /// # Errors
    /// Only where sending or receiving fails: what the kernel refuses is in the list.
    pub fn send(&mut self, requests: &[Request]) -> io::Result<Vec<io::Result<()>>> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut rest = requests;
        while !rest.is_empty() {
            let first = self.seq.wrapping_add(1);
            let mut datagram = Vec::new();
            let mut count = 0;
            while let Some(request) = rest.get(count)
                && count < CHUNK_REQUESTS
                && datagram.len() < CHUNK_BYTES
            {
                self.seq = self.seq.wrapping_add(1);
                write(&mut datagram, request, NLM_F_ACK, self.seq);
                count += 1;
            }
            self.transmit(&datagram)?;
            let mut chunk: Vec<Option<io::Result<()>>> = Vec::new();
            chunk.resize_with(count, || None);
            let mut missing = count;
            while missing > 0 {
                let len = self.receive(true)?.unwrap_or(0);
                for message in Messages::new(self.buffer.get(..len).unwrap_or_default()) {
                    let message = message.map_err(io::Error::other)?;
                    if message.kind != NLMSG_ERROR {
                        continue;
                    }
                    let index = usize::try_from(message.seq.wrapping_sub(first)).ok();
                    let slot = index.and_then(|index| chunk.get_mut(index));
                    let Some(slot) = slot.filter(|slot| slot.is_none()) else {
                        continue;
                    };
                    *slot = Some(answer(message.body));
                    missing -= 1;
                }
            }
            answers.extend(chunk.into_iter().flatten());
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(answers)
    }

    /// Sends one request.
    ///
    /// # Errors
    /// The kernel's.
    pub fn send_one(&mut self, request: Request) -> io::Result<()> {
        self.send(&[request])?.pop().unwrap_or(Ok(()))
    }

    /// Lists objects: `take` gets type and body of each. Repeats a list that changes
    /// interrupted (`NLM_F_DUMP_INTR`).
    ///
    /// # Errors
    /// The kernel's; or that changes never stopped.
    pub fn dump<T>(
        &mut self,
        request: &Request,
        take: impl Fn(u16, &[u8]) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        for _ in 0..DUMP_TRIES {
            if let Some(list) = self.ask(request, NLM_F_DUMP, &take)? {
                return Ok(list);
            }
        }
        Err(io::Error::other(
            "the list changed during each of several dumps",
        ))
    }

    /// Reads one object.
    ///
    /// # Errors
    /// The kernel's, `ENOENT` where there is none.
    pub fn get<T>(
        &mut self,
        request: &Request,
        take: impl Fn(u16, &[u8]) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let answers = self.ask(request, NLM_F_ACK, &take)?;
        Ok(answers.and_then(|list| list.into_iter().next()))
    }

    fn ask<T>(
        &mut self,
        request: &Request,
        flags: u16,
        take: &impl Fn(u16, &[u8]) -> Option<T>,
    ) -> io::Result<Option<Vec<T>>> {
        self.seq = self.seq.wrapping_add(1);
        let seq = self.seq;
        let mut datagram = Vec::new();
        write(&mut datagram, request, flags, seq);
        self.transmit(&datagram)?;
        let mut list = Vec::new();
        let mut whole = true;
        loop {
            let len = self.receive(true)?.unwrap_or(0);
            for message in Messages::new(self.buffer.get(..len).unwrap_or_default()) {
                let message = message.map_err(io::Error::other)?;
                if message.seq != seq {
                    continue;
                }
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE => return Ok(whole.then_some(list)),
                    NLMSG_ERROR => {
                        answer(message.body)?;
                        return Ok(whole.then_some(list));
                    }
                    kind => list.extend(take(kind, message.body)),
                }
            }
        }
    }

    /// Reads away the changes that were announced: `take` gets type, port of the socket that
    /// made the change, and body. Says whether messages were lost.
    ///
    /// # Errors
    /// The system's.
    pub fn changes(&mut self, mut take: impl FnMut(u16, u32, &[u8])) -> io::Result<bool> {
        let mut lost = false;
        loop {
            match self.receive(false) {
                Ok(None) => return Ok(lost),
                Ok(Some(len)) => {
                    let bytes = self.buffer.get(..len).unwrap_or_default();
                    for message in Messages::new(bytes).map_while(Result::ok) {
                        take(message.kind, message.port, message.body);
                    }
                }
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => lost = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// The socket's port, which the kernel names as the origin of changes.
    ///
    /// # Errors
    /// The system's.
    pub fn port(&self) -> io::Result<u32> {
        Ok(SocketAddrNetlink::try_from(getsockname(&self.fd)?)?.pid())
    }

    fn transmit(&self, datagram: &[u8]) -> io::Result<()> {
        let kernel = SocketAddrNetlink::new(0, 0);
        loop {
            match sendto(&self.fd, datagram, SendFlags::empty(), &kernel) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn receive(&mut self, wait: bool) -> io::Result<Option<usize>> {
        let mut flags = RecvFlags::TRUNC;
        if !wait {
            flags |= RecvFlags::DONTWAIT;
        }
        loop {
            match recv(&self.fd, &mut self.buffer[..], flags) {
                Ok((_, len)) => return Ok(Some(len.min(DATAGRAM_BYTES))),
                Err(rustix::io::Errno::AGAIN) if !wait => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Rtnl {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// `ENOBUFS` (`asm-generic/errno.h`).
const ENOBUFS: i32 = 105;

fn write(datagram: &mut Vec<u8>, request: &Request, flags: u16, seq: u32) {
    let len = u32::try_from(request.body.len() + 16).unwrap_or(u32::MAX);
    datagram.extend(len.to_ne_bytes());
    datagram.extend(request.kind.to_ne_bytes());
    datagram.extend((request.flags | flags | NLM_F_REQUEST).to_ne_bytes());
    datagram.extend(seq.to_ne_bytes());
    datagram.extend([0; 4]);
    datagram.extend(&request.body);
    datagram.resize(datagram.len().next_multiple_of(4), 0);
}

/// Reads `struct nlmsgerr`.
fn answer(body: &[u8]) -> io::Result<()> {
    let code = body.first_chunk::<4>().map(|b| i32::from_ne_bytes(*b));
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::Error::other("answer of the kernel is cut off")),
    }
}
