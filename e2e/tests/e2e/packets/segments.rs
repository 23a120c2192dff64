//! Hosts without a kernel on the lab's segments, in place of the lab's own hosts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use packet_checks::hosts::{Hosts, Link};
use packet_checks::plan::Segment;
use sluice_e2e::{Host, Lab, netns};
use sluice_gateway_agent::kernel::packet::{ETH_P_ALL, PacketSocket};

use super::SEGMENTS;
use crate::address::TENANT_NAMESPACE;
use crate::failure::{Outcome, demand};
use crate::stage::{Stage, path_text};

/// The lab's own hosts by their ports, which have the addresses of ours.
const PORTS: [&str; 4] = ["router", "client", "router-two", "client-two"];
/// Room for what arrives while nobody looks.
const RECEIVE_BYTES: usize = 4 << 20;
/// The longest frame.
const FRAME_BYTES: usize = 65_536;

/// The lab's segments with hosts of ours; when dropped, with the lab's own again.
pub struct Segments {
    control: std::path::PathBuf,
    hosts: File,
}

/// The bridge of a segment in the control plane's namespace, and our link to it.
fn place(segment: Segment) -> (&'static str, &'static str) {
    match segment {
        Segment::Outside => ("ext0", "check-ext"),
        Segment::Second => ("two0", "check-two"),
        Segment::Inside | Segment::Pods => ("lan0", "check-lan"),
    }
}

impl Segments {
    /// Takes the lab's outside hosts and tenants away and plugs ours in.
    pub fn plug(stage: &Stage) -> Outcome<Self> {
        let all = [
            "-n",
            TENANT_NAMESPACE,
            "delete",
            "pods",
            "--all",
            "--timeout=60s",
        ];
        stage.kubectl(&all, None)?;
        let hosts = netns::make()?;
        let control = stage.lab.netns(&Host::Fixed("cp".into()))?;
        let segments = Self { control, hosts };
        let there = netns::path_of(&segments.hosts);
        let there = path_text(&there)?.to_owned();
        for port in PORTS {
            ip(&stage.lab, &["link", "set", port, "down"])?;
        }
        for segment in SEGMENTS {
            let (bridge, link) = place(segment);
            let add = [
                "link", "add", link, "type", "veth", "peer", "name", link, "netns", &there,
            ];
            ip(&stage.lab, &add)?;
            ip(&stage.lab, &["link", "set", link, "master", bridge, "up"])?;
            netns::within(&netns::path_of(&segments.hosts), || {
                let mut command = std::process::Command::new("ip");
                // No kernel of a host answers on it.
                command.args([
                    "link",
                    "set",
                    link,
                    "addrgenmode",
                    "none",
                    "arp",
                    "off",
                    "up",
                ]);
                sluice_e2e::command::run(&mut command).map(drop)
            })?;
        }
        Ok(segments)
    }

    /// The hosts of the checks.
    pub fn hosts(&self) -> Outcome<Hosts> {
        let mut links: BTreeMap<Segment, Box<dyn Link>> = BTreeMap::new();
        for segment in SEGMENTS {
            let opened = netns::within(&netns::path_of(&self.hosts), || {
                Ok(Interface::open(place(segment).1))
            })?;
            links.insert(segment, Box::new(opened?));
        }
        Ok(Hosts::new(links))
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        // What is not there any more need not go.
        let _ = netns::within(&self.control, || {
            for segment in SEGMENTS {
                let mut command = std::process::Command::new("ip");
                let _ = command.args(["link", "del", place(segment).1]).output();
            }
            for port in PORTS {
                let mut command = std::process::Command::new("ip");
                let _ = command.args(["link", "set", port, "up"]).output();
            }
            Ok(())
        });
    }
}

fn ip(lab: &Lab, arguments: &[&str]) -> Outcome {
    let command = [&["ip"], arguments].concat();
    let output = lab.exec(&Host::Fixed("cp".into()), &command)?;
    demand(output.status.success(), || {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("ip {}: {}", arguments.join(" "), said.trim())
    })
}

/// All frames of one interface.
struct Interface {
    index: u32,
    socket: PacketSocket,
}

impl Interface {
    /// Opens an interface of the calling thread's network namespace.
    fn open(name: &str) -> io::Result<Self> {
        let any = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::DGRAM,
            None,
        )?;
        let index = rustix::net::netdevice::name_to_index(any, name)?;
        let socket = PacketSocket::listener(index, ETH_P_ALL)?;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BYTES)?;
        Ok(Self { index, socket })
    }
}

impl Link for Interface {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(self.index, frame)
    }

    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; FRAME_BYTES];
        Ok(self.socket.receive(&mut buffer)?.map(<[u8]>::to_vec))
    }
}
