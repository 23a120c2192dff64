//! What a new connection costs, with few and with many FIPs.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
use sluice_gateway_agent::kernel::{Kernel, KernelOptions};

use super::gateway::{
    Place, Row, external, failed, revision, script_addresses, script_rules, snapshot,
};
use super::report::{Figure, Report};
use super::stats::quantile;
use crate::error::{Doing, LabError, Result};

const FLOWS: u16 = 20_000;
const ROUNDS: usize = 5;
const PORT: u16 = 5_353;

/// Measures new UDP flows through 10, 1,000 and 10,000 FIPs, ours against iptables.
///
/// # Errors
/// When a namespace, the kernel or iptables refuses, or packets are lost.
pub fn measure(report: &mut Report) -> Result<()> {
    let mut medians = Vec::new();
    for (n, name) in [(10, "10"), (1_000, "1k"), (10_000, "10k")] {
        println!("bench: {FLOWS} new flows through {name} FIPs, {ROUNDS} rounds each way");
        let ours = sluice(n)?;
        let theirs = iptables(n)?;
        medians.push((quantile(&ours, 0.5), quantile(&theirs, 0.5)));
        report.add(
            Figure::new(
                &format!("new_flow_{name}_us"),
                "us",
                &ours,
                "a UDP flow's first packet, sent to received, all three hosts",
            )
            .beside("iptables", &theirs),
        );
    }
    if let (Some(few), Some(many)) = (medians.first(), medians.last()) {
        report.add(
            Figure::new(
                "new_flow_ratio_10k_to_10",
                "",
                &[many.0 / few.0],
                "cost with 10,000 FIPs over cost with 10",
            )
            .beside("iptables", &[many.1 / few.1]),
        );
    }
    Ok(())
}

fn sluice(n: usize) -> Result<Vec<f64>> {
    let row = Row::new()?;
    row.within(Place::Gateway, || {
        let mut kernel = Kernel::open(KernelOptions::default()).map_err(|e| failed("open", &e))?;
        kernel.guard().map_err(|e| failed("guard", &e))?;
        kernel
            .apply(&snapshot(n), &revision(1), true)
            .map_err(|e| failed("apply", &e))?;
        rounds(&row, n)
    })
}

fn iptables(n: usize) -> Result<Vec<f64>> {
    let row = Row::new()?;
    row.run(Place::Gateway, "sysctl", "-qw net.ipv4.ip_forward=1")?;
    row.ip(Place::Gateway, "addr add 10.244.0.254/16 dev lan0")?;
    row.feed(Place::Gateway, "ip", "-batch -", &script_addresses(n))?;
    row.feed(Place::Gateway, "iptables-restore", "", &script_rules(n))?;
    rounds(&row, n)
}

/// Microseconds per flow of each round; the first round warms neighbours up
/// and is left out.
fn rounds(row: &Row, n: usize) -> Result<Vec<f64>> {
    let took: Vec<f64> = (0..=ROUNDS)
        .map(|round| one(row, n, round))
        .collect::<Result<_>>()?;
    Ok(took.into_iter().skip(1).collect())
}

fn one(row: &Row, n: usize, round: usize) -> Result<f64> {
    let server = row.within(Place::Inside, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).doing(|| "bind".into())?;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 64 << 20)
            .doing(|| "enlarge the receive buffer".into())?;
        socket
            .set_read_timeout(Some(Duration::from_millis(300)))
            .doing(|| "set a time limit".into())?;
        Ok(socket)
    })?;
    let took = row.within(Place::Outside, || {
        let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))
            .doing(|| "open a raw socket".into())?;
        // Ten EIPs, spread over all there are, a port range of its own per round.
        let targets: Vec<Ipv4Addr> = (0..10).map(|k| external(k * n / 10)).collect();
        let start = Instant::now();
        for flow in 0..FLOWS {
            let Some(&to) = targets.get(usize::from(flow) % targets.len()) else {
                continue;
            };
            let port = 10_000 + flow / 10 + u16::try_from(round).unwrap_or(0) * 2_000;
            let packet = udp(Ipv4Addr::new(10, 155, 0, 9), port, to, PORT);
            sendto(&raw, &packet, SendFlags::empty(), &SocketAddrV4::new(to, 0))
                .doing(|| "send".into())?;
        }
        Ok(start.elapsed())
    })?;
    let mut seen = 0;
    let mut buffer = [0; 64];
    while server.recv(&mut buffer).is_ok() {
        seen += 1;
    }
    // The warm-up loses what waits too long for a neighbour's answer.
    if round > 0 && seen * 100 < usize::from(FLOWS) * 99 {
        return Err(LabError::Content(format!(
            "{seen} of {FLOWS} flows came through {n} FIPs"
        )));
    }
    Ok(took.as_secs_f64() * 1e6 / f64::from(FLOWS))
}

/// An IPv4 packet with an empty UDP datagram (RFC 791, RFC 768; checksum 0 =
/// none; the kernel fills the IP checksum in).
pub(super) fn udp(from: Ipv4Addr, from_port: u16, to: Ipv4Addr, to_port: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(from_port.to_be_bytes());
    packet.extend(to_port.to_be_bytes());
    packet.extend([0, 8, 0, 0]);
    packet
}
