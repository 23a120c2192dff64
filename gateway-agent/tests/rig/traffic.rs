//! Who sends, and whom the other side sees.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::in_ns;

/// Answers each datagram and each connection's first bytes with the source that it sees.
/// Ends with the process.
pub fn serve(ns: &str, address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let (ready, wait) = mpsc::channel();
    let name = ns.to_owned();
    in_ns(&name, move || {
        let udp = UdpSocket::bind(address).unwrap();
        let tcp = TcpListener::bind(address).unwrap();
        ready.send(()).unwrap();
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    use std::io::{Read, Write};
                    let seen = stream.peer_addr().map(|a| a.to_string());
                    let mut buffer = [0; 2048];
                    while let Ok(n) = stream.read(&mut buffer) {
                        if n == 0 {
                            return;
                        }
                        let _ = stream.write_all(seen.as_deref().unwrap_or("?").as_bytes());
                    }
                });
            }
        });
        let mut buffer = [0; 65_000];
        while let Ok((_, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(from.to_string().as_bytes(), from);
        }
    });
    wait.recv().unwrap();
}

/// Asks by UDP, from the given address if one is given; the answer is the source that the
/// server saw. Asks again until something answers or the time is up.
pub fn ask_for(ns: &str, from: Option<&str>, to: &str, time: Duration) -> Option<SocketAddr> {
    let to: SocketAddr = to.parse().unwrap();
    let from: IpAddr = match from {
        Some(from) => from.parse().unwrap(),
        None if to.is_ipv4() => "0.0.0.0".parse().unwrap(),
        None => "::".parse().unwrap(),
    };
    in_ns(ns, move || {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let end = Instant::now() + time;
        let mut buffer = [0; 2048];
        while Instant::now() < end {
            let _ = socket.send_to(b"who am I", to);
            if let Ok((len, _)) = socket.recv_from(&mut buffer) {
                let text = std::str::from_utf8(&buffer[..len]).unwrap();
                return Some(text.parse().unwrap());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    })
    .join()
    .unwrap()
}

/// The source that the server sees; fails the test where nothing answers within 5 s.
pub fn ask(ns: &str, to: &str) -> IpAddr {
    ask_for(ns, None, to, Duration::from_secs(5))
        .unwrap_or_else(|| panic!("{to} does not answer {ns}"))
        .ip()
}

/// Whether nothing answers within half a second.
pub fn is_silent(ns: &str, to: &str) -> bool {
    ask_for(ns, None, to, Duration::from_millis(500)).is_none()
}

/// The source that a TCP server sees.
pub fn ask_tcp(ns: &str, to: &str) -> Option<SocketAddr> {
    let to: SocketAddr = to.parse().unwrap();
    in_ns(ns, move || {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        say(&mut stream)
    })
    .join()
    .unwrap()
}

/// Says something on a connection and returns what comes back.
pub fn say(stream: &mut TcpStream) -> Option<SocketAddr> {
    use std::io::{Read, Write};
    stream.write_all(b"who am I").ok()?;
    let mut buffer = [0; 256];
    let len = stream.read(&mut buffer).ok().filter(|len| *len > 0)?;
    std::str::from_utf8(&buffer[..len]).ok()?.parse().ok()
}
