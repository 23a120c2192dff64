//! Probing many addresses at once, every 20 ms each, from one host of the lab.
//!
//! A thread in that host's network namespace sends and receives; it notes when
//! each request was sent and whether it was answered in time. Runs of requests
//! that were not answered go into the history.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, ipproto, recvfrom, sendto,
    socket_with, sockopt,
};

use super::history::{History, Loss, What};
use super::ping;
use crate::echo::{Seen, UDP_PORT};
use crate::error::{Doing, LabError, Result};
use crate::netns;

/// Between two requests to one target, microseconds.
pub const INTERVAL_US: u64 = 20_000;
/// After which a request counts as lost, microseconds.
pub const PATIENCE_US: u64 = 700_000;
/// Size of receive buffers: enough for a second of answers.
const BUFFER: usize = 4 << 20;
/// Size of send buffers. What waits for a neighbour that does not answer counts against
/// the socket, up to `net.ipv6.neigh.default.unres_qlen_bytes` for each; it must not keep
/// requests to others from being sent.
const WAITING: usize = 64 << 20;

/// How a target is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// ICMP echo, answered by whoever answers for the address.
    Ping,
    /// A datagram to the echo server behind the address.
    Udp,
}

/// What is probed: one address, for one object's sake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// `Kind/namespace/name` of the object that promises an answer.
    pub object: String,
    /// The address.
    pub address: IpAddr,
    /// How it is asked.
    pub method: Method,
}

/// What is known of a target so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Requests sent.
    pub sent: u64,
    /// Requests answered in time.
    pub answered: u64,
    /// When the newest request that was answered was sent.
    pub last_answered_us: u64,
    /// What the echo server said last.
    pub seen: Option<Seen>,
}

#[derive(Default)]
struct Track {
    next_us: u64,
    number: u64,
    waiting: VecDeque<(u64, u64, bool)>,
    run: Option<(u64, u64, u64)>,
    standing: Standing,
}

type Tracks = BTreeMap<Target, Track>;

/// A running prober; it ends when this is dropped.
pub struct Prober {
    tracks: Arc<Mutex<Tracks>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    history: History,
}

impl Prober {
    /// Starts probing, of nothing yet, from the network namespace at `from`.
    ///
    /// # Errors
    /// When the namespace or a socket cannot be opened.
    pub fn start(from: &Path, history: &History) -> Result<Self> {
        let tracks = Arc::new(Mutex::new(Tracks::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn({
            let (from, tracks, stop, history) = (
                from.to_path_buf(),
                tracks.clone(),
                stop.clone(),
                history.clone(),
            );
            move || match netns::enter(&from).and_then(|()| Sockets::open()) {
                Ok(sockets) => {
                    let _ = tell.send(Ok(()));
                    while !stop.load(Ordering::Relaxed) {
                        turn(&sockets, &tracks, &history);
                    }
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
        told.recv()
            .map_err(|_| LabError::Content("the prober's thread died".into()))??;
        Ok(Self {
            tracks,
            stop,
            thread: Some(thread),
            history: history.clone(),
        })
    }

    /// Begins to probe a target; probing it already is no error.
    pub fn add(&self, target: Target) {
        self.lock().entry(target).or_default();
    }

    /// Ends probing for an object, and puts what was lost into the history.
    pub fn remove(&self, object: &str) {
        let mut tracks = self.lock();
        let gone: Vec<Target> = tracks
            .keys()
            .filter(|target| target.object == object)
            .cloned()
            .collect();
        for target in gone {
            if let Some(mut track) = tracks.remove(&target) {
                finish(&target, &mut track, &self.history);
            }
        }
    }

    /// Ends all probing.
    pub fn clear(&self) {
        for (target, mut track) in std::mem::take(&mut *self.lock()) {
            finish(&target, &mut track, &self.history);
        }
    }

    /// Waits until every request sent so far is answered or lost, and puts all
    /// losses into the history.
    pub fn settle(&self) {
        thread::sleep(Duration::from_micros(PATIENCE_US + 50_000));
        for (target, track) in self.lock().iter_mut() {
            finish(target, track, &self.history);
        }
    }

    /// What is known of all targets.
    #[must_use]
    pub fn standings(&self) -> Vec<(Target, Standing)> {
        self.lock()
            .iter()
            .map(|(target, track)| (target.clone(), track.standing.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tracks> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends within one turn; if it died there is nothing to wait for.
            let _ = thread.join();
        }
    }
}

struct Sockets {
    ping: [OwnedFd; 2],
    udp: [OwnedFd; 2],
    identifier: u16,
}

impl Sockets {
    fn open() -> Result<Self> {
        let open = |family, kind, protocol| {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let fd = socket_with(family, kind, flags, protocol)
                .doing(|| "open a socket to probe with".into())?;
            sockopt::set_socket_recv_buffer_size_force(&fd, BUFFER)
                .doing(|| "enlarge a receive buffer".into())?;
            sockopt::set_socket_send_buffer_size_force(&fd, WAITING)
                .doing(|| "enlarge a send buffer".into())?;
            Ok::<OwnedFd, LabError>(fd)
        };
        let (v4, v6) = (AddressFamily::INET, AddressFamily::INET6);
        let sockets = Self {
            ping: [
                open(v4, SocketType::RAW, Some(ipproto::ICMP))?,
                open(v6, SocketType::RAW, Some(ipproto::ICMPV6))?,
            ],
            udp: [
                open(v4, SocketType::DGRAM, None)?,
                open(v6, SocketType::DGRAM, None)?,
            ],
            identifier: u16::try_from(std::process::id() & 0x7fff).unwrap_or(1) | 1,
        };
        let any = [
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        ];
        for (fd, any) in sockets.udp.iter().zip(any) {
            bind(fd, &any).doing(|| "bind a UDP socket".into())?;
        }
        Ok(sockets)
    }

    fn send(&self, target: &Target, number: u64) {
        let [four, six] = if target.method == Method::Ping {
            &self.ping
        } else {
            &self.udp
        };
        let fd = if target.address.is_ipv4() { four } else { six };
        let (bytes, port) = match target.method {
            Method::Ping => (ping::request(target.address, self.identifier, number), 0),
            Method::Udp => (number.to_string().into_bytes(), UDP_PORT),
        };
        // What cannot be sent (no route, no neighbour) is a request without answer.
        let _ = sendto(
            fd,
            &bytes,
            SendFlags::DONTWAIT,
            &SocketAddr::new(target.address, port),
        );
    }

    /// The next answer that waits: who answered how, with which number.
    fn receive(&self, buffer: &mut [u8]) -> Vec<(IpAddr, Method, u64, Option<Seen>)> {
        let mut out = Vec::new();
        for (method, fds) in [(Method::Ping, &self.ping), (Method::Udp, &self.udp)] {
            for (v4, fd) in [true, false].into_iter().zip(fds) {
                while let Ok((length, _, Some(from))) =
                    recvfrom(fd, &mut *buffer, RecvFlags::DONTWAIT)
                {
                    let (Ok(from), Some(bytes)) =
                        (SocketAddr::try_from(from), buffer.get(..length))
                    else {
                        continue;
                    };
                    let answer = match method {
                        Method::Ping => {
                            ping::reply(bytes, v4, self.identifier).map(|number| (number, None))
                        }
                        Method::Udp => serde_json::from_slice::<Seen>(bytes)
                            .ok()
                            .and_then(|seen| Some((seen.data.parse().ok()?, Some(seen)))),
                    };
                    if let Some((number, seen)) = answer {
                        out.push((from.ip(), method, number, seen));
                    }
                }
            }
        }
        out
    }
}

/// Sends what is due, takes what has come, and judges what is overdue.
fn turn(sockets: &Sockets, tracks: &Mutex<Tracks>, history: &History) {
    let mut fds: Vec<PollFd<'_>> = sockets
        .ping
        .iter()
        .chain(&sockets.udp)
        .map(|fd| PollFd::new(fd, PollFlags::IN))
        .collect();
    let short = Timespec {
        tv_sec: 0,
        tv_nsec: 2_000_000,
    };
    // Whatever poll says, the sockets are looked at.
    let _ = poll(&mut fds, Some(&short));
    let mut buffer = [0; 2048];
    let answers = sockets.receive(&mut buffer);
    let mut tracks = tracks.lock().unwrap_or_else(PoisonError::into_inner);
    for (from, method, number, seen) in answers {
        let track = tracks.iter_mut().find(|(target, track)| {
            target.address == from
                && target.method == method
                && track.waiting.iter().any(|w| w.0 == number)
        });
        if let Some((_, track)) = track {
            answered(track, number, seen);
        }
    }
    let now = history.now_us();
    let count = u64::try_from(tracks.len().max(1)).unwrap_or(1);
    for (place, (target, track)) in tracks.iter_mut().enumerate() {
        judge(target, track, now, history);
        if track.next_us == 0 {
            // Targets take turns, so that requests do not come in bursts.
            track.next_us = now + INTERVAL_US * u64::try_from(place).unwrap_or(0) / count;
        }
        if now >= track.next_us {
            track.next_us = now.max(track.next_us + INTERVAL_US);
            track.number += 1;
            let number = u64::try_from(place).unwrap_or(0) << 40 | track.number;
            track.waiting.push_back((number, now, false));
            track.standing.sent += 1;
            sockets.send(target, number);
        }
    }
}

fn answered(track: &mut Track, number: u64, seen: Option<Seen>) {
    if let Some(waiting) = track.waiting.iter_mut().find(|waiting| waiting.0 == number) {
        waiting.2 = true;
        track.standing.answered += 1;
        track.standing.last_answered_us = track.standing.last_answered_us.max(waiting.1);
    }
    if seen.is_some() {
        track.standing.seen = seen;
    }
}

/// Takes requests whose end is known off the queue, in the order of sending.
fn judge(target: &Target, track: &mut Track, now: u64, history: &History) {
    while let Some((_, sent, answered)) = track.waiting.front().copied() {
        if answered {
            end_run(target, track, history);
        } else if sent + PATIENCE_US < now {
            let (from, _, count) = track.run.unwrap_or((sent, sent, 0));
            track.run = Some((from, sent, count + 1));
        } else {
            return;
        }
        track.waiting.pop_front();
    }
}

fn finish(target: &Target, track: &mut Track, history: &History) {
    judge(target, track, history.now_us(), history);
    end_run(target, track, history);
}

fn end_run(target: &Target, track: &mut Track, history: &History) {
    if let Some((from_us, to_us, lost)) = track.run.take() {
        history.add(What::Loss(Loss {
            object: target.object.clone(),
            address: target.address.to_string(),
            from_us,
            to_us,
            lost,
        }));
    }
}
