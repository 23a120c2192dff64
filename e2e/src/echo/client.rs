//! The echo program's clients: HTTP, datagrams, and a held connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use crate::error::{Doing, LabError, Result};

/// How often and how patiently a client asks.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many requests.
    pub count: u64,
    /// Between two requests.
    pub interval: Duration,
    /// For one answer; not zero.
    pub timeout: Duration,
}

/// Gets `url` as often as planned on one connection, and writes the bodies.
///
/// # Errors
/// When the URL is malformed, or an answer fails to come in time.
pub fn get(url: &str, plan: &Plan, out: &mut impl Write) -> Result<()> {
    let (host, path) = parse_url(url)?;
    let address = resolve(&host)?;
    let stream = connect(address, plan.timeout)?;
    let mut stream = BufReader::new(stream);
    for n in 0..plan.count.max(1) {
        if n > 0 {
            sleep(plan.interval);
        }
        request(&mut stream, &host, &path, out)
            .map_err(in_words)
            .doing(|| format!("get {url}"))?;
    }
    Ok(())
}

/// One GET on an open connection; the body goes to `out`.
///
/// # Errors
/// When the connection fails or the answer is no HTTP.
pub fn request(
    stream: &mut BufReader<TcpStream>,
    host: &str,
    path: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    // A stream is asked for in HTTP/1.0, where its end is the connection's.
    let version = if path.starts_with("/stream") {
        "1.0"
    } else {
        "1.1"
    };
    stream
        .get_mut()
        .write_all(format!("GET {path} HTTP/{version}\r\nHost: {host}\r\n\r\n").as_bytes())?;
    let mut status = String::new();
    stream.read_line(&mut status)?;
    if !status.starts_with("HTTP/1.") || status.split_whitespace().nth(1) != Some("200") {
        return Err(io::Error::other(format!("answered {:?}", status.trim())));
    }
    let mut length = None;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse::<u64>().ok();
        }
    }
    match length {
        Some(length) => {
            let copied = io::copy(&mut stream.take(length), out)?;
            if copied < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        None => {
            let mut line = String::new();
            while stream.read_line(&mut line)? > 0 {
                out.write_all(line.as_bytes())?;
                line.clear();
            }
        }
    }
    out.flush()
}

/// Sends datagrams as planned, and writes the answers.
///
/// # Errors
/// When an answer does not come in time.
pub fn udp(to: SocketAddr, plan: &Plan, out: &mut impl Write) -> Result<()> {
    let socket = udp_socket(to, plan.timeout).doing(|| format!("open a socket to {to}"))?;
    let mut buffer = vec![0; 65536];
    for n in 0..plan.count.max(1) {
        if n > 0 {
            sleep(plan.interval);
        }
        socket
            .send(n.to_string().as_bytes())
            .doing(|| format!("send to {to}"))?;
        let length = socket
            .recv(&mut buffer)
            .doing(|| format!("hear from {to}"))?;
        out.write_all(buffer.get(..length).unwrap_or_default())
            .and_then(|()| out.flush())
            .doing(|| "write the answer".into())?;
    }
    Ok(())
}

/// A socket that talks to `to` only.
///
/// # Errors
/// When it cannot be made.
pub fn udp_socket(to: SocketAddr, timeout: Duration) -> io::Result<UdpSocket> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(timeout))?;
    Ok(socket)
}

/// Holds one connection, and writes the answer to each line sent.
///
/// # Errors
/// When the connection breaks or an answer does not come in time.
pub fn hold(to: SocketAddr, plan: &Plan, out: &mut impl Write) -> Result<()> {
    let mut stream = BufReader::new(connect(to, plan.timeout)?);
    for n in 0..plan.count.max(1) {
        if n > 0 {
            sleep(plan.interval);
            stream
                .get_mut()
                .write_all(format!("{n}\n").as_bytes())
                .doing(|| format!("send to {to}"))?;
        }
        let mut line = String::new();
        let length = stream
            .read_line(&mut line)
            .map_err(in_words)
            .doing(|| format!("hear from {to}"))?;
        if length == 0 {
            return Err(LabError::Content(format!("{to} closed the connection")));
        }
        out.write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .doing(|| "write the answer".into())?;
    }
    Ok(())
}

/// Connects, with `timeout` for that and for each later read and write.
///
/// # Errors
/// When nobody accepts in time.
pub fn connect(to: SocketAddr, timeout: Duration) -> Result<TcpStream> {
    let connected = TcpStream::connect_timeout(&to, timeout).and_then(|stream| {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(stream)
    });
    connected.doing(|| format!("connect to {to}"))
}

/// A wait that ran out is told by the kernel as "try again"; say what it is.
fn in_words(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
    } else {
        error
    }
}

/// Host with port, and path, of `http://HOST[:PORT][/PATH]`.
fn parse_url(url: &str) -> Result<(String, String)> {
    let rest = url.strip_prefix("http://").ok_or_else(|| {
        LabError::Refused(format!(
            "{url:?} is no URL that this gets: use http://HOST[:PORT][/PATH]"
        ))
    })?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let ported = host.rsplit_once(':').is_some_and(|(before, port)| {
        port.parse::<u16>().is_ok() && (!before.contains(':') || before.ends_with(']'))
    });
    let host = if ported {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    Ok((host, path.to_owned()))
}

fn resolve(host: &str) -> Result<SocketAddr> {
    let mut found = host.to_socket_addrs().doing(|| format!("resolve {host}"))?;
    found
        .next()
        .ok_or_else(|| LabError::Content(format!("{host} has no address")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_both_families_with_and_without_port_are_understood() {
        for (url, host, path) in [
            ("http://10.0.0.1", "10.0.0.1:80", "/"),
            (
                "http://10.0.0.1:8080/stream?n=1",
                "10.0.0.1:8080",
                "/stream?n=1",
            ),
            ("http://[2001:db8::1]/a", "[2001:db8::1]:80", "/a"),
            ("http://[2001:db8::1]:8000", "[2001:db8::1]:8000", "/"),
        ] {
            assert_eq!(
                parse_url(url).unwrap(),
                (host.to_owned(), path.to_owned()),
                "{url}"
            );
        }
        assert!(parse_url("https://10.0.0.1").is_err());
    }
}
