//! Hosts without a kernel on the lab's segments, in place of the lab's own hosts.

use std::collections::BTreeMap;
use std::fs::File;

use packet_checks::hosts::{Hosts, Link};
use packet_checks::plan::Segment;
use sluice_e2e::{Host, Lab, netns};

use super::SEGMENTS;
use super::link::Interface;
use crate::address::TENANT_NAMESPACE;
use crate::failure::{Outcome, demand};
use crate::stage::{Stage, path_text};

/// The lab's own hosts by their ports, which have the addresses of ours.
const PORTS: [&str; 4] = ["router", "client", "router-two", "client-two"];

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
