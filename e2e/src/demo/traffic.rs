//! Connections from outside to a pod and from pods to outside.

use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use super::NAMESPACE;
use super::screen::{Screen, quiet};
use crate::echo::Seen;
use crate::error::{Doing, LabError, Result};
use crate::{Host, Lab};

/// The addresses of an EIP, IPv4 first.
///
/// # Errors
/// When it does not have both.
pub fn addresses(lab: &Lab, eip: &str) -> Result<[IpAddr; 2]> {
    let get = |family: &str| -> Result<IpAddr> {
        let path = format!("jsonpath={{.status.{family}}}");
        let text = quiet(lab, &["-n", NAMESPACE, "get", "eips", eip, "-o", &path])?;
        text.parse()
            .map_err(|_| LabError::Content(format!("EIP {eip} has no {family} address")))
    };
    Ok([get("ipv4")?, get("ipv6")?])
}

/// Shows all kinds of traffic and returns how many connections were made.
///
/// # Errors
/// When a connection fails, or a side sees another address than it should.
pub fn show(screen: &Screen, lab: &Lab) -> Result<usize> {
    let web = addresses(lab, "web")?;
    let ports = addresses(lab, "ports")?;
    let out = addresses(lab, "out")?;
    let client = [
        IpAddr::from([10, 155, 30, 9]),
        IpAddr::from([0x2001, 0xdb8, 1, 0, 0, 0, 0, 9]),
    ];
    let far = [
        IpAddr::from([198, 51, 100, 9]),
        IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 9]),
    ];
    let server = Server::start(lab, "client2")?;
    let mut done = 0;
    for (family, at) in [
        ("IPv4", (|[v4, _]| v4) as fn([IpAddr; 2]) -> IpAddr),
        ("IPv6", |[_, v6]| v6),
    ] {
        let cases = [
            Case {
                what: "FIP, in",
                from: "client",
                to: at(web),
                port: 80,
                pod: "web",
                source: at(client),
            },
            Case {
                what: "DNAT 8080 to 80, in",
                from: "client",
                to: at(ports),
                port: 8080,
                pod: "web2",
                source: at(client),
            },
            Case {
                what: "FIP, out",
                from: "pod/tenants/web",
                to: at(far),
                port: 80,
                pod: "client2",
                source: at(web),
            },
            Case {
                what: "SNAT, out",
                from: "pod/tenants/client-a",
                to: at(far),
                port: 80,
                pod: "client2",
                source: at(out),
            },
        ];
        for case in cases {
            case.run(screen, lab, family)?;
            done += 1;
        }
    }
    drop(server);
    Ok(done)
}

struct Case<'a> {
    what: &'a str,
    from: &'a str,
    to: IpAddr,
    port: u16,
    /// Name that the answering side must give.
    pod: &'a str,
    /// Source address that the answering side must see.
    source: IpAddr,
}

impl Case<'_> {
    fn run(&self, screen: &Screen, lab: &Lab, family: &str) -> Result<()> {
        let host: Host = self.from.parse()?;
        let target = if self.to.is_ipv4() {
            self.to.to_string()
        } else {
            format!("[{}]", self.to)
        };
        let url = format!("http://{target}:{}/", self.port);
        let echo = lab.paths().bin().join("sluice-echo");
        let output = lab.exec(&host, &[&echo.to_string_lossy(), "--get", &url])?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(LabError::Content(format!(
                "{family} {}: {} could not get {url}: {why}",
                self.what, self.from
            )));
        }
        let Seen { pod, source, .. } = serde_json::from_str(&text)
            .map_err(|e| LabError::Content(format!("{url} answered {text:?}: {e}")))?;
        screen.note(&format!(
            "{family} {:<20} {} -> {url}: {pod} answers and sees {source}",
            self.what, self.from
        ));
        if pod != self.pod || source.parse() != Ok(self.source) {
            return Err(LabError::Content(format!(
                "{family} {}: {} should answer and see {}, but the answer is {text}",
                self.what, self.pod, self.source
            )));
        }
        Ok(())
    }
}

/// An echo server on a host that is no pod; it ends when this is dropped.
struct Server(Child);

impl Server {
    fn start(lab: &Lab, host: &str) -> Result<Self> {
        let echo = lab.paths().bin().join("sluice-echo");
        let child = lab.within(&host.parse()?, || {
            Command::new(&echo)
                .env("POD_NAME", host)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .doing(|| format!("start {}", echo.display()))
        })?;
        // It has bound its ports when it answers itself.
        let server = Self(child);
        for _ in 0..100 {
            let own = lab.exec(
                &host.parse()?,
                &[&echo.to_string_lossy(), "--get", "http://127.0.0.1:80/"],
            )?;
            if own.status.success() {
                return Ok(server);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Err(LabError::Content(format!(
            "the echo server on {host} does not answer"
        )))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
