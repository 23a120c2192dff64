//! The echo program: a server that says who it saw, and its client.
//!
//! Every answer is one JSON line ([`Seen`]). The server listens on TCP 80,
//! 8000-8099 and 9000-9099 for HTTP, on TCP 7007 for lines that it sends back,
//! and on UDP 5353.

pub mod client;
mod datagrams;
pub mod server;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde::{Deserialize, Serialize};

/// The UDP port that answers each datagram.
pub const UDP_PORT: u16 = 5353;
/// The TCP port that greets, and then answers each line.
pub const LINE_PORT: u16 = 7007;

/// What a server saw of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The server's pod, or host.
    pub pod: String,
    /// The address that the request came from.
    pub source: String,
    /// The port that the request came from.
    pub source_port: u16,
    /// The server's own address, as it sees it.
    pub own: String,
    /// The server's own port.
    pub own_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Counts the answers on one stream or connection, from 0.
    pub sequence: u64,
    /// What the client sent: an HTTP path, a line, or a datagram's text.
    pub data: String,
}

impl Seen {
    /// What `own` saw of `peer`. IPv4 peers of IPv6 sockets are shown as IPv4.
    #[must_use]
    pub fn new(
        pod: &str,
        protocol: &str,
        peer: SocketAddr,
        own: SocketAddr,
        sequence: u64,
        data: &str,
    ) -> Self {
        Self {
            pod: pod.to_owned(),
            source: peer.ip().to_canonical().to_string(),
            source_port: peer.port(),
            own: own.ip().to_canonical().to_string(),
            own_port: own.port(),
            protocol: protocol.to_owned(),
            sequence,
            data: data.to_owned(),
        }
    }

    /// The JSON line.
    #[must_use]
    pub fn line(&self) -> String {
        // A structure of strings and numbers always has a JSON form.
        serde_json::to_string(self)
            .map(|text| text + "\n")
            .unwrap_or_default()
    }
}

/// Says over HTTP, UDP or lines of TCP who it saw; without a client option it
/// is the server.
#[derive(Debug, Parser)]
#[command(name = "sluice-echo", version)]
struct Arguments {
    /// Gets URL, `http://HOST[:PORT][/PATH]`, and prints the body.
    #[arg(long, value_name = "URL", group = "client")]
    get: Option<String>,
    /// Sends datagrams to ADDRESS:PORT and prints the answers.
    #[arg(long, value_name = "ADDRESS:PORT", group = "client")]
    udp: Option<SocketAddr>,
    /// Holds a connection to ADDRESS:PORT (7007) and prints an answer per line sent.
    #[arg(long, value_name = "ADDRESS:PORT", group = "client")]
    hold: Option<SocketAddr>,
    /// How many requests; all on one connection.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Milliseconds between requests.
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    interval_ms: u64,
    /// Milliseconds to wait for an answer.
    #[arg(long, default_value_t = 5000, value_name = "MS")]
    timeout_ms: u64,
}

/// Runs the program. Exits with 1 when a client gets no answer.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = client::Plan {
        count: arguments.count,
        interval: Duration::from_millis(arguments.interval_ms),
        timeout: Duration::from_millis(arguments.timeout_ms.max(1)),
    };
    let result = match (&arguments.get, arguments.udp, arguments.hold) {
        (Some(url), _, _) => client::get(url, &plan, &mut std::io::stdout()),
        (_, Some(to), _) => client::udp(to, &plan, &mut std::io::stdout()),
        (_, _, Some(to)) => client::hold(to, &plan, &mut std::io::stdout()),
        _ => server::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-echo: {}", error.one_line());
            ExitCode::FAILURE
        }
    }
}
