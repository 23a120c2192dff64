//! What a packet costs where EIPs have limits.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
use sluice_core::config::Snapshot;
use sluice_crds::user::Rate;
use sluice_gateway_agent::kernel::{Kernel, KernelOptions};

use super::flows::udp;
use super::gateway::{Place, Row, external, failed, internal, limited, revision, snapshot};
use super::report::{Figure, Report};
use crate::error::{Doing, LabError, Result};

const EIPS: usize = 1_000;
/// Packets each way in a round.
const PACKETS: usize = 50_000;
const ROUNDS: usize = 9;
const PORT: u16 = 5_353;
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 155, 0, 9), 10_000);
/// Far above what is sent: nothing waits.
const RATE: &str = "10G";

/// Measures packets of flows that stand, through 1,000 FIPs: without limits, with a limit for
/// each EIP, and with the same limits by filters of `tc`.
///
/// # Errors
/// When a namespace, the kernel or `tc` refuses, or packets are lost.
pub fn measure(report: &mut Report) -> Result<()> {
    println!("bench: {PACKETS} packets each way through {EIPS} FIPs, {ROUNDS} rounds, three ways");
    let rate = Rate::parse(RATE).map_err(|e| failed("rate", &e))?;
    let free = Gateway::new(&snapshot(EIPS))?;
    let limited = Gateway::new(&limited(EIPS, rate))?;
    let filtered = Gateway::new(&snapshot(EIPS))?;
    for (interface, end, address) in [
        ("lan0", "dst", internal as fn(usize) -> Ipv4Addr),
        ("eth1", "src", external),
    ] {
        let script = filters(interface, end, address);
        filtered
            .row
            .feed(Place::Gateway, "tc", "-batch -", &script)?;
    }
    let mut took = [Vec::new(), Vec::new(), Vec::new()];
    // In turns, so that what else the machine does meets all of them.
    for round in 0..=ROUNDS {
        for (gateway, took) in [&free, &limited, &filtered].into_iter().zip(&mut took) {
            let one = gateway.round()?;
            // The first makes flows and neighbours.
            if round > 0 {
                took.push(one);
            }
        }
    }
    let [free, limited, filtered] = &took;
    let note =
        "a packet of a flow that stands, sent to received, all three hosts, half of them each way";
    for (name, samples, what) in [
        ("packet_1k_limited_us", limited, "1,000 EIPs limited"),
        (
            "packet_1k_limited_u32_us",
            filtered,
            "the same limits picked by tc u32 filters",
        ),
    ] {
        let figure = Figure::new(name, "us", samples, &format!("{note}; {what}"));
        report.add(figure.beside("no limits", free));
    }
    Ok(())
}

/// The same limits without nft's part: a class and a filter for each EIP.
fn filters(interface: &str, end: &str, address: fn(usize) -> Ipv4Addr) -> String {
    let mut script = format!("qdisc add dev {interface} root handle 1: htb\n");
    for i in 0..EIPS {
        let (class, address) = (i + 1, address(i));
        script += &format!(
            "class add dev {interface} parent 1: classid 1:{class:x} htb rate 10gbit quantum 65536\n\
             filter add dev {interface} parent 1: protocol ip prio 1 u32 match ip {end} {address}/32 flowid 1:{class:x}\n"
        );
    }
    script
}

/// A gateway with a host on either side, which talk through all of its EIPs.
struct Gateway {
    row: Row,
    outside: UdpSocket,
    inside: UdpSocket,
}

impl Gateway {
    fn new(config: &Snapshot) -> Result<Self> {
        let row = Row::new()?;
        row.within(Place::Gateway, || {
            let mut kernel =
                Kernel::open(KernelOptions::default()).map_err(|e| failed("open", &e))?;
            kernel.guard().map_err(|e| failed("guard", &e))?;
            let applied = kernel.apply(config, &revision(1), true);
            let applied = applied.map_err(|e| failed("apply", &e))?;
            match applied.rejected.first() {
                Some(rejected) => Err(failed(&rejected.key, &rejected.error)),
                None => Ok(()),
            }
        })?;
        // Neighbours that stand: the kernel keeps 1,024 others in all namespaces together.
        let mac = |place, interface: &str| {
            let shown = row.ip(place, &format!("-o link show dev {interface}"))?;
            let mut words = shown.split_whitespace();
            let mac = words.by_ref().find(|word| *word == "link/ether");
            let mac = mac.and(words.next());
            let mac = mac.ok_or_else(|| failed(interface, &"it has no MAC"))?;
            Ok::<_, LabError>(mac.to_owned())
        };
        let inside = mac(Place::Inside, "in0")?;
        let neighbours: String = (0..EIPS)
            .map(|i| format!("neigh replace {} lladdr {inside} dev lan0\n", internal(i)))
            .collect();
        row.feed(Place::Gateway, "ip", "-batch -", &neighbours)?;
        let (lan, uplink) = (mac(Place::Gateway, "lan0")?, mac(Place::Gateway, "eth1")?);
        for (place, words) in [
            (
                Place::Inside,
                format!("neigh replace 10.155.0.9 lladdr {lan} dev in0"),
            ),
            (
                Place::Outside,
                "route add 10.155.48.0/20 via 10.155.0.2".to_owned(),
            ),
            (
                Place::Outside,
                format!("neigh replace 10.155.0.2 lladdr {uplink} dev up0"),
            ),
        ] {
            row.ip(place, &words)?;
        }
        let bound = |place, to: SocketAddrV4| row.within(place, || receiver(to));
        Ok(Self {
            outside: bound(Place::Outside, CLIENT)?,
            inside: bound(
                Place::Inside,
                SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT),
            )?,
            row,
        })
    }

    /// Microseconds per packet.
    fn round(&self) -> Result<f64> {
        let inward = |i| udp(*CLIENT.ip(), CLIENT.port(), external(i), PORT);
        let outward = |i| udp(internal(i), PORT, *CLIENT.ip(), CLIENT.port());
        let there = self.send(Place::Outside, inward, external)?;
        let seen = drain(&self.inside);
        let back = self.send(Place::Inside, outward, |_| *CLIENT.ip())?;
        let seen = seen.min(drain(&self.outside));
        if seen * 100 < PACKETS * 99 {
            return Err(LabError::Content(format!(
                "{seen} of {PACKETS} packets came through"
            )));
        }
        Ok((there + back).as_secs_f64() * 1e6 / (2 * PACKETS) as f64)
    }

    fn send(
        &self,
        from: Place,
        packet: impl Fn(usize) -> Vec<u8> + Send,
        to: impl Fn(usize) -> Ipv4Addr + Send,
    ) -> Result<Duration> {
        self.row.within(from, move || {
            let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))
                .doing(|| "open a raw socket".into())?;
            let packets: Vec<(Vec<u8>, SocketAddrV4)> = (0..EIPS)
                .map(|i| (packet(i), SocketAddrV4::new(to(i), 0)))
                .collect();
            let start = Instant::now();
            for (packet, to) in packets.iter().cycle().take(PACKETS) {
                sendto(&raw, packet, SendFlags::empty(), to).doing(|| "send".into())?;
            }
            Ok(start.elapsed())
        })
    }
}

fn receiver(at: SocketAddrV4) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(at).doing(|| "bind".into())?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 64 << 20)
        .doing(|| "enlarge the receive buffer".into())?;
    socket
        .set_read_timeout(Some(Duration::from_millis(300)))
        .doing(|| "set a time limit".into())?;
    Ok(socket)
}

/// How many packets have come.
fn drain(socket: &UdpSocket) -> usize {
    let mut seen = 0;
    let mut buffer = [0; 64];
    while socket.recv(&mut buffer).is_ok() {
        seen += 1;
    }
    seen
}
