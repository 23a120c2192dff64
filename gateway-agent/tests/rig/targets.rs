//! Servers that say who they are, and clients that tell which of several answered.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::{addr, in_ns};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which server answered, and the source that it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub server: SocketAddr,
    pub source: SocketAddr,
}

fn read(text: &[u8]) -> Option<Answer> {
    let (server, source) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    Some(Answer {
        server: server.parse().ok()?,
        source: source.parse().ok()?,
    })
}

/// Answers on each address, by UDP and TCP, with that address and the source. Ends with the
/// process.
pub fn serve_named(ns: &str, addresses: &[SocketAddr]) {
    let (ready, wait) = mpsc::channel();
    for address in addresses.iter().copied() {
        let ready = ready.clone();
        in_ns(ns, move || {
            let udp = UdpSocket::bind(address).unwrap();
            let tcp = TcpListener::bind(address).unwrap();
            ready.send(()).unwrap();
            std::thread::spawn(move || {
                for stream in tcp.incoming() {
                    let Ok(mut stream) = stream else { return };
                    std::thread::spawn(move || {
                        let source = stream.peer_addr().unwrap();
                        let mut buffer = [0; 256];
                        while stream.read(&mut buffer).is_ok_and(|n| n > 0) {
                            // In one piece, for the client reads once.
                            let answer = format!("{address} {source}");
                            let _ = stream.write_all(answer.as_bytes());
                        }
                    });
                }
            });
            let mut buffer = [0; 256];
            while let Ok((_, source)) = udp.recv_from(&mut buffer) {
                let _ = udp.send_to(format!("{address} {source}").as_bytes(), source);
            }
        });
    }
    for _ in addresses {
        wait.recv().unwrap();
    }
}

/// A conversation that can be gone on with.
pub enum Talk {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Talk {
    /// Says something; who answered. `None` where nobody did within a time.
    pub fn say(&mut self) -> Option<Answer> {
        self.say_within(PATIENCE)
    }

    pub fn say_within(&mut self, time: Duration) -> Option<Answer> {
        let mut buffer = [0; 256];
        let len = match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(time)).unwrap();
                stream.write_all(b"who").ok()?;
                stream.read(&mut buffer).ok()?
            }
            Self::Udp(socket) => {
                socket.set_read_timeout(Some(time)).unwrap();
                socket.send(b"who").ok()?;
                socket.recv(&mut buffer).ok()?
            }
        };
        read(&buffer[..len])
    }
}

/// Begins to talk to an address by TCP, from an address of the namespace; `None` where
/// nobody accepts.
pub fn tcp(ns: &str, from: &str, to: SocketAddr) -> Option<Talk> {
    let from = SocketAddr::new(addr(from), 0);
    in_ns(ns, move || {
        let fd = socket(family(to), SocketType::STREAM, None).unwrap();
        bind(&fd, &from).unwrap();
        let give_up = Some(PATIENCE);
        rustix::net::sockopt::set_socket_timeout(&fd, rustix::net::sockopt::Timeout::Send, give_up)
            .unwrap();
        connect(&fd, &to).ok()?;
        Some(Talk::Tcp(fd.into()))
    })
    .join()
    .unwrap()
}

/// The same by UDP, which asks nobody.
pub fn udp(ns: &str, from: &str, to: SocketAddr) -> Talk {
    let from = SocketAddr::new(addr(from), 0);
    in_ns(ns, move || {
        let socket = UdpSocket::bind(from).unwrap();
        socket.connect(to).unwrap();
        Talk::Udp(socket)
    })
    .join()
    .unwrap()
}

fn family(address: SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

/// Which server each of so many new flows reaches.
pub fn spread(
    ns: &str,
    count: usize,
    begin: impl Fn() -> Option<Talk>,
) -> BTreeMap<SocketAddr, usize> {
    let mut seen = BTreeMap::new();
    for n in 0..count {
        let answer = begin().and_then(|mut talk| talk.say());
        let answer = answer.unwrap_or_else(|| panic!("flow {n} of {ns} has no answer"));
        *seen.entry(answer.server).or_default() += 1;
    }
    seen
}
