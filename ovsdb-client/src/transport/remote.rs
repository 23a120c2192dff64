//! Where servers are, in the words of `ovsdb(7)`, and sockets to them.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::Tls;
use crate::error::ConnectError;

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remote {
    /// `unix:PATH`
    Unix(PathBuf),
    /// `tcp:HOST:PORT`; an IPv6 address stands in brackets.
    Tcp(HostPort),
    /// `ssl:HOST:PORT`
    Ssl(HostPort),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Text that is no remote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no remote: write unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, IPv6 addresses in brackets"
)]
pub struct BadRemote(pub String);

impl Remote {
    /// Reads remotes with commas between them.
    ///
    /// # Errors
    /// The first that is none.
    pub fn list(text: &str) -> Result<Vec<Self>, BadRemote> {
        text.split(',')
            .map(|remote| remote.trim().parse())
            .collect()
    }
}

impl FromStr for Remote {
    type Err = BadRemote;

    fn from_str(text: &str) -> Result<Self, BadRemote> {
        let bad = || BadRemote(text.to_owned());
        let (scheme, rest) = text.split_once(':').ok_or_else(bad)?;
        match scheme {
            "unix" if !rest.is_empty() => Ok(Self::Unix(rest.into())),
            "tcp" => host_port(rest).map(Self::Tcp).ok_or_else(bad),
            "ssl" => host_port(rest).map(Self::Ssl).ok_or_else(bad),
            _ => Err(bad()),
        }
    }
}

fn host_port(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port != 0)?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let plain = (!host.is_empty() && !host.contains([':', '[', ']'])).then_some(host);
    let host = bracketed
        .filter(|host| host.parse::<std::net::Ipv6Addr>().is_ok())
        .or(plain)?;
    Some(HostPort {
        host: host.to_owned(),
        port,
    })
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(at) => write!(f, "tcp:{at}"),
            Self::Ssl(at) => write!(f, "ssl:{at}"),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A socket to a server.
#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Ssl(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(crate) async fn connect(
        remote: &Remote,
        tls: Option<&Tls>,
        within: Duration,
    ) -> Result<Self, ConnectError> {
        let connected = timeout(within, Self::open(remote, tls)).await;
        connected.unwrap_or_else(|_| {
            Err(ConnectError::TimedOut {
                remote: remote.to_string(),
                after_ms: within.as_millis(),
            })
        })
    }

    async fn open(remote: &Remote, tls: Option<&Tls>) -> Result<Self, ConnectError> {
        let io = |source| ConnectError::Io {
            remote: remote.to_string(),
            source,
        };
        match remote {
            Remote::Unix(path) => UnixStream::connect(path).await.map(Self::Unix).map_err(io),
            Remote::Tcp(at) => tcp(at).await.map(Self::Tcp).map_err(io),
            Remote::Ssl(at) => {
                let tls = tls.ok_or_else(|| ConnectError::NoTls {
                    remote: remote.to_string(),
                })?;
                let socket = tcp(at).await.map_err(io)?;
                let stream = tls.connect(&at.host, socket).await.map_err(io)?;
                Ok(Self::Ssl(Box::new(stream)))
            }
        }
    }
}

async fn tcp(at: &HostPort) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((at.host.as_str(), at.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

macro_rules! each {
    ($stream:expr, $socket:ident => $do:expr) => {
        match $stream.get_mut() {
            Stream::Unix($socket) => $do,
            Stream::Tcp($socket) => $do,
            Stream::Ssl($socket) => $do,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        each!(self, socket => Pin::new(socket).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        each!(self, socket => Pin::new(socket).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self, socket => Pin::new(socket).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_are_read_and_written() {
        for text in [
            "unix:/run/ovn/ovnnb_db.sock",
            "tcp:127.0.0.1:6641",
            "ssl:[fd00::1]:6641",
            "tcp:nb.example:6641",
        ] {
            assert_eq!(
                text.parse::<Remote>().map(|remote| remote.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(
            Remote::list("tcp:a:1, tcp:b:2").map(|list| list.len()),
            Ok(2)
        );
    }

    #[test]
    fn what_is_no_remote_is_named() {
        for text in [
            "",
            "unix:",
            "tcp:6641",
            "tcp:h:0",
            "tcp:h:+1",
            "tcp:h:70000",
            "tcp:fd00::1:6641",
            "ssl:[h]:1",
            "udp:h:1",
            "ssl::1",
        ] {
            assert_eq!(text.parse::<Remote>(), Err(BadRemote(text.to_owned())));
        }
    }
}
