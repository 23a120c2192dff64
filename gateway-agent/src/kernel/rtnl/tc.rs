//! Queueing disciplines and classes of traffic (`linux/pkt_sched.h`): HTB, and the queues of
//! its classes.

use std::io;

use super::message::{attributes, put, text, word};
use super::{Request, Rtnl};

#[cfg(test)]
mod tests;

/// `RTM_NEWQDISC`, `RTM_DELQDISC`, `RTM_GETQDISC`, `RTM_NEWTCLASS`, `RTM_DELTCLASS`,
/// `RTM_GETTCLASS` (`linux/rtnetlink.h`).
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTCLASS: u16 = 40;
const RTM_DELTCLASS: u16 = 41;
const RTM_GETTCLASS: u16 = 42;
/// `TCA_KIND`, `TCA_OPTIONS` (`linux/rtnetlink.h`).
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
/// `TCA_HTB_PARMS`, `TCA_HTB_INIT`, `TCA_HTB_DIRECT_QLEN`, `TCA_HTB_RATE64`,
/// `TCA_HTB_CEIL64`.
const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_INIT: u16 = 2;
const TCA_HTB_DIRECT_QLEN: u16 = 5;
const TCA_HTB_RATE64: u16 = 6;
const TCA_HTB_CEIL64: u16 = 7;
/// `TC_HTB_PROTOVER`.
const HTB_VERSION: u32 = 3;
/// `rate2quantum`: not used, as each class says its quantum.
const RATE_TO_QUANTUM: u32 = 10;
/// `TC_LINKLAYER_ETHERNET`: the kernel works out times by itself, without a table.
const LINKLAYER: u8 = 1;
/// Bytes of `struct tcmsg`.
const HEADER: usize = 20;
/// Where `struct tc_htb_opt` has what: two `struct tc_ratespec` of 12 bytes, the rate at the
/// end of each, then numbers.
const RATE: usize = 8;
const CEIL: usize = 20;
const BUFFER: usize = 24;
const CEIL_BUFFER: usize = 28;
const QUANTUM: usize = 32;
const PRIORITY: usize = 40;
/// `NLM_F_CREATE`, `NLM_F_REPLACE`.
const CREATE: u16 = 0x400;
const REPLACE: u16 = 0x100;

/// `TC_H_ROOT`: the parent of what stands directly on the interface, or on its HTB.
pub const ROOT: u32 = u32::MAX;
const HTB: &str = "htb";
const BFIFO: &str = "bfifo";

/// A queueing discipline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Qdisc {
    /// Index of the interface.
    pub device: u32,
    /// Its handle, the major number in the high half.
    pub handle: u32,
    /// [`ROOT`], or the class whose queue it is.
    pub parent: u32,
    /// What it does.
    pub discipline: Discipline,
}

/// What a queueing discipline does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discipline {
    /// Classes with rates of their own.
    Htb {
        /// The class of packets that name none; 0 for none, which lets them pass at once.
        default: u32,
        /// How many packets that have no class may wait for the interface.
        direct_packets: u32,
    },
    /// First in, first out, up to so many bytes.
    Fifo {
        /// The most that may wait.
        bytes: u32,
    },
    /// Another one, by its name.
    Other(String),
}

impl Discipline {
    fn name(&self) -> &str {
        match self {
            Self::Htb { .. } => HTB,
            Self::Fifo { .. } => BFIFO,
            Self::Other(name) => name,
        }
    }

    fn options(&self) -> Vec<u8> {
        let mut options = Vec::new();
        match self {
            Self::Htb {
                default,
                direct_packets,
            } => {
                let init = [HTB_VERSION, RATE_TO_QUANTUM, *default, 0, 0];
                put(
                    &mut options,
                    TCA_HTB_INIT,
                    init.map(u32::to_ne_bytes).as_flattened(),
                );
                put(
                    &mut options,
                    TCA_HTB_DIRECT_QLEN,
                    &direct_packets.to_ne_bytes(),
                );
            }
            // `struct tc_fifo_qopt`, which is no attribute.
            Self::Fifo { bytes } => options.extend(bytes.to_ne_bytes()),
            Self::Other(_) => {}
        }
        options
    }

    fn read(name: String, options: &[u8]) -> Self {
        match name.as_str() {
            HTB => {
                let (mut default, mut direct_packets) = (0, 0);
                for (kind, payload) in attributes(options, 0) {
                    match kind {
                        TCA_HTB_INIT => default = word(payload, 8),
                        TCA_HTB_DIRECT_QLEN => direct_packets = word(payload, 0),
                        _ => {}
                    }
                }
                Self::Htb {
                    default,
                    direct_packets,
                }
            }
            BFIFO => Self::Fifo {
                bytes: word(options, 0),
            },
            _ => Self::Other(name),
        }
    }
}

impl Qdisc {
    /// The request that adds it in the place of what stands there, or makes one of the same
    /// kind and handle so.
    pub fn put(&self) -> Request {
        let header = header(self.device, self.handle, self.parent);
        Request::new(RTM_NEWQDISC, CREATE | REPLACE, &header)
            .put(TCA_KIND, &name(self.discipline.name()))
            .put(TCA_OPTIONS, &self.discipline.options())
    }

    /// The request that removes it.
    pub fn remove(&self) -> Request {
        let header = header(self.device, self.handle, self.parent);
        Request::new(RTM_DELQDISC, 0, &header)
    }

    fn read(kind: u16, body: &[u8]) -> Option<Self> {
        if kind != RTM_NEWQDISC {
            return None;
        }
        let (name, options) = named(body);
        Some(Self {
            device: word(body, 4),
            handle: word(body, 8),
            parent: word(body, 12),
            discipline: Discipline::read(name, options),
        })
    }
}

/// A class of an HTB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// Index of the interface.
    pub device: u32,
    /// Major number of the HTB in the high half, its own number in the low one.
    pub handle: u32,
    /// [`ROOT`], or another class.
    pub parent: u32,
    /// Bytes per second that it may have.
    pub rate: u64,
    /// Bytes per second that it may have when others leave it some.
    pub ceil: u64,
    /// What it may have at once, as time at its rate, in ticks of 64 ns (`PSCHED_SHIFT`,
    /// `net/pkt_sched.h`).
    pub burst: u32,
    /// The same at [`Class::ceil`].
    pub ceil_burst: u32,
    /// Bytes that it may send before it is another class's turn.
    pub quantum: u32,
    /// Who goes first; 0 before all others.
    pub priority: u32,
}

impl Class {
    /// The request that adds it, or makes it so where it is there: what waits in it stays.
    pub fn put(&self) -> Request {
        let mut options = Vec::new();
        let mut params = Vec::new();
        for rate in [self.rate, self.ceil] {
            params.extend([0, LINKLAYER, 0, 0, 0, 0, 0, 0]);
            params.extend(u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
        }
        let level = 0;
        for number in [
            self.burst,
            self.ceil_burst,
            self.quantum,
            level,
            self.priority,
        ] {
            params.extend(number.to_ne_bytes());
        }
        put(&mut options, TCA_HTB_PARMS, &params);
        for (kind, rate) in [(TCA_HTB_RATE64, self.rate), (TCA_HTB_CEIL64, self.ceil)] {
            if rate > u64::from(u32::MAX) {
                put(&mut options, kind, &rate.to_ne_bytes());
            }
        }
        Request::new(
            RTM_NEWTCLASS,
            CREATE,
            &header(self.device, self.handle, self.parent),
        )
        .put(TCA_KIND, &name(HTB))
        .put(TCA_OPTIONS, &options)
    }

    /// The request that removes it with its queue.
    pub fn remove(&self) -> Request {
        Request::new(
            RTM_DELTCLASS,
            0,
            &header(self.device, self.handle, self.parent),
        )
    }

    fn read(kind: u16, body: &[u8]) -> Option<Self> {
        if kind != RTM_NEWTCLASS {
            return None;
        }
        let (name, options) = named(body);
        let (mut params, mut rate64, mut ceil64) = (None, None, None);
        for (kind, payload) in attributes(options, 0) {
            match kind {
                TCA_HTB_PARMS => params = Some(payload),
                TCA_HTB_RATE64 => rate64 = long(payload),
                TCA_HTB_CEIL64 => ceil64 = long(payload),
                _ => {}
            }
        }
        let params = params.filter(|_| name == HTB)?;
        Some(Self {
            device: word(body, 4),
            handle: word(body, 8),
            parent: word(body, 12),
            rate: rate64.unwrap_or_else(|| word(params, RATE).into()),
            ceil: ceil64.unwrap_or_else(|| word(params, CEIL).into()),
            burst: word(params, BUFFER),
            ceil_burst: word(params, CEIL_BUFFER),
            quantum: word(params, QUANTUM),
            priority: word(params, PRIORITY),
        })
    }
}

/// `struct tcmsg`.
fn header(device: u32, handle: u32, parent: u32) -> Vec<u8> {
    [0, device, handle, parent, 0]
        .map(u32::to_ne_bytes)
        .concat()
}

fn name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// `TCA_KIND` and `TCA_OPTIONS`.
fn named(body: &[u8]) -> (String, &[u8]) {
    let (mut name, mut options) = (String::new(), [].as_slice());
    for (kind, payload) in attributes(body, HEADER) {
        match kind {
            TCA_KIND => name = text(payload),
            TCA_OPTIONS => options = payload,
            _ => {}
        }
    }
    (name, options)
}

fn long(payload: &[u8]) -> Option<u64> {
    payload
        .first_chunk()
        .map(|bytes| u64::from_ne_bytes(*bytes))
}

impl Rtnl {
    /// The queueing disciplines of all interfaces, without those that the kernel made by
    /// itself. None where it was built without any.
    ///
    /// # Errors
    /// The kernel's.
    pub fn qdiscs(&mut self) -> io::Result<Vec<Qdisc>> {
        let request = Request::new(RTM_GETQDISC, 0, &[0; HEADER]);
        let qdiscs = self.dump(&request, Qdisc::read);
        qdiscs.or_else(|error| match error.raw_os_error() {
            Some(EOPNOTSUPP) => Ok(Vec::new()),
            _ => Err(error),
        })
    }

    /// The classes of an interface's HTBs.
    ///
    /// # Errors
    /// The kernel's.
    pub fn classes(&mut self, device: u32) -> io::Result<Vec<Class>> {
        let request = Request::new(RTM_GETTCLASS, 0, &header(device, 0, 0));
        self.dump(&request, Class::read)
    }
}

/// `EOPNOTSUPP` (`asm-generic/errno.h`).
const EOPNOTSUPP: i32 = 95;
