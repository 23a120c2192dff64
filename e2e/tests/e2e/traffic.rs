//! Single requests from one host of the lab to an address, and connections
//! that are held open.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use sluice_e2e::echo::{LINE_PORT, Seen, UDP_PORT};
use sluice_e2e::{Host, LabError};

use crate::address::url;
use crate::failure::{Outcome, demand, wrong};
use crate::stage::{Stage, path_text, text};

/// Milliseconds until a request counts as unanswered.
const TIMEOUT_MS: &str = "1500";

/// A tenant pod as a host.
pub fn tenant(name: &str) -> Host {
    Host::pod(crate::address::TENANT_NAMESPACE, name)
}

/// A host outside.
pub fn outside(name: &str) -> Host {
    Host::Fixed(name.into())
}

impl Stage {
    /// What the server at `address` says of an HTTP request from `host`.
    pub fn http(&self, host: &Host, address: &str, port: u16) -> Outcome<Seen> {
        self.ask(host, &["--get", &url(address, port)])
    }

    /// What the server at `address` says of a datagram from `host`.
    pub fn udp(&self, host: &Host, address: &str) -> Outcome<Seen> {
        let to = if address.contains(':') {
            format!("[{address}]:{UDP_PORT}")
        } else {
            format!("{address}:{UDP_PORT}")
        };
        self.ask(host, &["--udp", &to])
    }

    fn ask(&self, host: &Host, arguments: &[&str]) -> Outcome<Seen> {
        let echo = self.echo();
        let argv = [
            &[path_text(&echo)?],
            arguments,
            &["--timeout-ms", TIMEOUT_MS],
        ]
        .concat();
        let output = self.lab.exec(host, &argv)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match said
            .lines()
            .next()
            .and_then(|line| serde_json::from_str(line).ok())
        {
            Some(seen) if output.status.success() => Ok(seen),
            _ => wrong(format!(
                "{host}: {}: no answer ({said}{})",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            )),
        }
    }

    /// Demands that a request from `host` is answered by `pod`, which sees it
    /// come from `source`; tried again for 3 s.
    pub fn expect_http(
        &self,
        host: &Host,
        address: &str,
        port: u16,
        pod: &str,
        source: &str,
    ) -> Outcome {
        self.wait_for(
            &format!("{host} -> {address}:{port} answered by {pod} seeing {source}"),
            3.0,
            || {
                let seen = self
                    .http(host, address, port)
                    .map_err(|failure| failure.to_string())?;
                if seen.pod == pod && seen.source == source {
                    Ok(())
                } else {
                    Err(format!("answered: {seen:?}"))
                }
            },
        )
    }

    /// Like [`Stage::expect_http`] with a datagram.
    pub fn expect_udp(&self, host: &Host, address: &str, pod: &str, source: &str) -> Outcome {
        self.wait_for(
            &format!("{host} -> {address} (UDP) answered by {pod} seeing {source}"),
            3.0,
            || {
                let seen = self
                    .udp(host, address)
                    .map_err(|failure| failure.to_string())?;
                if seen.pod == pod && seen.source == source {
                    Ok(())
                } else {
                    Err(format!("answered: {seen:?}"))
                }
            },
        )
    }

    /// Demands that nobody answers.
    pub fn expect_no_http(&self, host: &Host, address: &str, port: u16) -> Outcome {
        match self.http(host, address, port) {
            Ok(seen) => wrong(format!("{host} -> {address}:{port} was answered: {seen:?}")),
            Err(_) => Ok(()),
        }
    }

    /// The addresses of an EIP, both of them.
    pub fn addresses(&self, namespace: &str, eip: &str) -> Outcome<[String; 2]> {
        let object = self.live("EIP", namespace, eip).unwrap_or_default();
        let both = [text(&object, "/status/ipv4"), text(&object, "/status/ipv6")];
        demand(both.iter().all(|one| !one.is_empty()), || {
            format!("EIP {namespace}/{eip} has {both:?}, wanted both families")
        })?;
        Ok(both)
    }

    /// Opens a connection from `host` to the line port of `address` and keeps
    /// talking on it every 50 ms.
    pub fn hold(&self, host: &Host, address: &str) -> Outcome<Held> {
        let to = if address.contains(':') {
            format!("[{address}]:{LINE_PORT}")
        } else {
            format!("{address}:{LINE_PORT}")
        };
        let echo = self.echo();
        let mut child = self.lab.within(host, || {
            Command::new(&echo)
                .args([
                    "--hold",
                    &to,
                    "--count",
                    "100000",
                    "--interval-ms",
                    "50",
                    "--timeout-ms",
                    TIMEOUT_MS,
                ])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|source| LabError::Io {
                    action: format!("hold a connection on {host}"),
                    source,
                })
        })?;
        let lines: Arc<Mutex<Vec<Seen>>> = Arc::default();
        if let Some(out) = child.stdout.take() {
            let lines = lines.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if let Ok(seen) = serde_json::from_str(&line) {
                        lines
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(seen);
                    }
                }
            });
        }
        let mut held = Held { child, lines };
        self.wait("the first lines of a held connection", 3.0, || {
            held.count() >= 3 || held.ended()
        })?;
        demand(!held.ended(), || {
            format!("{host} -> {to}: the connection ended at once")
        })?;
        Ok(held)
    }
}

/// A connection that is held open; it ends when this is dropped.
pub struct Held {
    child: Child,
    lines: Arc<Mutex<Vec<Seen>>>,
}

impl Held {
    /// How many answers have come.
    pub fn count(&self) -> usize {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// The pod that answered last.
    pub fn pod(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .last()
            .map(|seen| seen.pod.clone())
            .unwrap_or_default()
    }

    /// Whether the connection is over.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
