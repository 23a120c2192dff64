//! Connections that carry as much as they can, and how much that is.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::{addr, in_ns};

/// Which way the bytes of a connection go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// From who connects.
    Up,
    /// To who connects.
    Down,
}

/// A connection that carries as much as it can until it is dropped.
pub struct Stream {
    ends: [TcpStream; 2],
    received: Arc<AtomicU64>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Stream {
    /// Connects from an address of a namespace to `to`, where a server of another namespace
    /// answers that listens on `at`.
    pub fn open(client: (&str, &str), to: &str, server: (&str, &str), flow: Flow) -> Self {
        let at: SocketAddr = server.1.parse().unwrap();
        let listener = in_ns(server.0, move || TcpListener::bind(at).unwrap());
        let listener = listener.join().unwrap();
        let port = listener.local_addr().unwrap().port();
        let to: SocketAddr = match to.parse() {
            Ok(to) => to,
            Err(_) => SocketAddr::new(addr(to), port),
        };
        let from = SocketAddr::new(addr(client.1), 0);
        let near = in_ns(client.0, move || {
            let family = if to.is_ipv4() {
                AddressFamily::INET
            } else {
                AddressFamily::INET6
            };
            let fd = socket(family, SocketType::STREAM, None).unwrap();
            bind(&fd, &from).unwrap();
            connect(&fd, &to).unwrap();
            TcpStream::from(fd)
        });
        let near = near.join().unwrap();
        let (far, _) = listener.accept().unwrap();
        let ends = match flow {
            Flow::Up => [near, far],
            Flow::Down => [far, near],
        };
        let received = Arc::new(AtomicU64::new(0));
        let [mut from, mut to] = ends.each_ref().map(|end| end.try_clone().unwrap());
        std::thread::spawn(move || {
            let block = [0x5a; 1 << 16];
            while from.write_all(&block).is_ok() {}
        });
        let counted = Arc::clone(&received);
        std::thread::spawn(move || {
            let mut block = [0; 1 << 16];
            while let Ok(len) = to.read(&mut block)
                && len > 0
            {
                counted.fetch_add(len as u64, Ordering::Relaxed);
            }
        });
        Self { ends, received }
    }
}

/// How many bits per second connections receive together, over a time, once the first
/// bursts have passed.
pub fn bits_per_sec(streams: &[&Stream], time: Duration) -> f64 {
    let sum = || -> u64 {
        let counts = streams.iter();
        counts
            .map(|stream| stream.received.load(Ordering::Relaxed))
            .sum()
    };
    std::thread::sleep(Duration::from_millis(700));
    let (before, began) = (sum(), Instant::now());
    std::thread::sleep(time);
    (sum() - before) as f64 * 8.0 / began.elapsed().as_secs_f64()
}
