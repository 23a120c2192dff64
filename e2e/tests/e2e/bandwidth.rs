//! EIPs with limits: what they let through, and changes of a limit under load.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sluice_e2e::{Host, LabError};

use crate::address::{Pair, TENANTS};
use crate::failure::{Outcome, demand, wrong};
use crate::gateway::{NS, eip, fip};
use crate::runner::Scenario;
use crate::stage::Stage;
use crate::traffic::{outside, tenant};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "limits_hold_each_way_and_change_under_connections_that_stay",
    secs: 150,
    full: false,
    run: limits,
}];

/// Bits per second of the limit.
const RATE: f64 = 8e6;
/// How long a connection is watched.
const TIME: Duration = Duration::from_secs(2);
/// How often it is watched until it has found out how fast it may be.
const TRIES: usize = 6;

fn limits(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    let [(_, web), (_, web2), ..] = TENANTS;
    let mut slow = eip(NS, "slow");
    if let Some(spec) = slow.pointer_mut("/spec") {
        spec["bandwidth"] = json!({"ingress": "8M", "egress": "8M"});
    }
    stage.create_all(&[slow, eip(NS, "fast")])?;
    stage.create_all(&[fip(NS, "slow", "slow", web), fip(NS, "fast", "fast", web2)])?;
    stage.wait_seen("FIP", NS, "slow")?;
    stage.wait_seen("FIP", NS, "fast")?;
    stage.wait_all_ready(20.0)?;

    let slow = stage.addresses(NS, "slow")?;
    let fast = stage.addresses(NS, "fast")?;
    for way in [Way::In, Way::Out] {
        let mut both = Vec::new();
        for (address, own) in slow.iter().zip(families(web)) {
            both.push(Bulk::open(stage, address, &tenant("web"), own, way)?);
        }
        stage.tell(format!("{way:?}, both families: {}", near(&both, RATE)?));
        let ([address, _], [own, _]) = (&fast, families(web2));
        let other = Bulk::open(stage, address, &tenant("web2"), own, way)?;
        let bits = bits_per_sec(&[other]);
        demand(bits > 4.0 * RATE, || {
            format!("{address} has no limit, and {bits:.0} bit/s {way:?}")
        })?;
    }

    // Four times as fast and back, with the same connections all along.
    let mut held = Vec::new();
    for (address, own) in slow.iter().zip(families(web)) {
        held.push(Bulk::open(stage, address, &tenant("web"), own, Way::Out)?);
    }
    for (generation, text, factor) in [(2, "32M", 4.0), (3, "8M", 1.0)] {
        let patch = json!({"spec": {"bandwidth": {"egress": text}}});
        stage.patch("EIP", NS, "slow", &patch)?;
        stage.wait("the new generation", 5.0, || {
            stage
                .live("EIP", NS, "slow")
                .is_some_and(|eip| eip.pointer("/metadata/generation") == Some(&generation.into()))
        })?;
        stage.wait_ready(&[("EIP", NS, "slow"), ("FIP", NS, "slow")], 10.0)?;
        let seen = near(&held, factor * RATE)?;
        stage.tell(format!("egress of {text}: {seen}"));
    }
    Ok(())
}

/// Which way the bytes go, seen from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

fn families(pair: Pair) -> [&'static str; 2] {
    [pair.0, pair.1]
}

/// Whether connections together are as fast as a limit lets them be, by and by.
fn near(all: &[Bulk], rate: f64) -> Outcome<String> {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let bits = bits_per_sec(all);
        seen.push(format!("{:.1}", bits / 1e6));
        if bits >= 0.5 * rate && bits <= 1.3 * rate {
            return Ok(format!("{} Mbit/s", seen.join(", ")));
        }
    }
    wrong(format!(
        "{} Mbit/s, where {:.1} are allowed",
        seen.join(", "),
        rate / 1e6
    ))
}

/// What connections receive together.
fn bits_per_sec(all: &[Bulk]) -> f64 {
    let sum = || -> u64 {
        let counts = all.iter();
        counts
            .map(|bulk| bulk.received.load(Ordering::Relaxed))
            .sum()
    };
    std::thread::sleep(TIME / 4);
    let (before, began) = (sum(), Instant::now());
    std::thread::sleep(TIME);
    (sum() - before) as f64 * 8.0 / began.elapsed().as_secs_f64()
}

/// A connection that carries as much as it can until it is dropped.
struct Bulk {
    ends: [TcpStream; 2],
    received: Arc<AtomicU64>,
}

impl Drop for Bulk {
    fn drop(&mut self) {
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Bulk {
    /// Connects the outside client to an EIP whose inside host has the address `own`.
    fn open(stage: &Stage, eip: &str, inside: &Host, own: &str, way: Way) -> Outcome<Self> {
        let failed = |action: &str| {
            let action = format!("{action} for {eip}");
            move |source| LabError::Io { action, source }
        };
        let own: SocketAddr = socket(own, 0)?;
        let listener = stage
            .lab
            .within(inside, || TcpListener::bind(own).map_err(failed("listen")))?;
        let port = listener
            .local_addr()
            .map_err(failed("name a socket"))?
            .port();
        let to = socket(eip, port)?;
        let near = stage.lab.within(&outside("client"), || {
            TcpStream::connect_timeout(&to, TIME).map_err(failed("connect"))
        })?;
        let (far, _) = listener.accept().map_err(failed("accept"))?;
        let ends = match way {
            Way::In => [near, far],
            Way::Out => [far, near],
        };
        let received = Arc::new(AtomicU64::new(0));
        let [from, to] = &ends;
        let mut from = from.try_clone().map_err(failed("clone a socket"))?;
        let mut to = to.try_clone().map_err(failed("clone a socket"))?;
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
                counted.fetch_add(u64::try_from(len).unwrap_or(0), Ordering::Relaxed);
            }
        });
        Ok(Self { ends, received })
    }
}

fn socket(address: &str, port: u16) -> Outcome<SocketAddr> {
    match address.parse() {
        Ok(address) => Ok(SocketAddr::new(address, port)),
        Err(error) => wrong(format!("{address}: {error}")),
    }
}
