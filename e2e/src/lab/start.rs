//! The steps of bringing a lab up.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use super::{Lab, Progress};
use crate::cluster::Cluster;
use crate::control::{self, Request};
use crate::control_plane::Component;
use crate::credentials;
use crate::error::{Doing, LabError, Result};
use crate::given::Given;
use crate::image;
use crate::manifests;
use crate::node_config;
use crate::options::UpOptions;
use crate::ovn;
use crate::paths::LabPaths;
use crate::programs::Found;
use crate::state::ProcessId;

/// What must hold before anything is started.
pub(super) fn require(options: &UpOptions, paths: &LabPaths) -> Result<()> {
    if let Some(cluster) = Given::here()? {
        return Err(LabError::Refused(format!(
            "SLUICE_CLUSTER names {cluster}: that has none of the lab's nodes, to power off, cut off \
             and look into, and only the admission test can use it; unset SLUICE_CLUSTER for the rest"
        )));
    }
    if !geteuid().is_root() {
        return Err(LabError::Refused(
            "the lab makes namespaces and cgroups: run it as root".into(),
        ));
    }
    if !(1..=9).contains(&options.nodes) {
        return Err(LabError::Refused(format!(
            "--nodes {} is not usable: 1 to 9",
            options.nodes
        )));
    }
    if options.ovn.is_some() {
        ovn::require(paths)?;
    }
    for program in [
        "controlplane",
        "containerd",
        "containerd-shim-runc-v2",
        "ctr",
        "runc",
        "multus",
        "ptp",
        "bridge",
        "host-local",
        "tuning",
    ] {
        if !paths.go_bin().join(program).exists() {
            return Err(LabError::Refused(format!(
                "{} is not built: run `make setup` (once, some minutes)",
                paths.go_bin().join(program).display()
            )));
        }
    }
    Ok(())
}

pub(super) fn prepare_files(
    paths: &LabPaths,
    options: &UpOptions,
    progress: Progress<'_>,
) -> Result<()> {
    fs::create_dir_all(&paths.dir).doing(|| format!("make {}", paths.dir.display()))?;
    let binaries = image::binary_dir(paths)?;
    let found = Found::here();
    for line in found.lines() {
        progress(&line);
    }
    node_config::link_programs(paths, &program(&binaries), found.programs())?;
    let echo = paths.bin().join("sluice-echo");
    fs::copy(binaries.join("sluice-echo"), &echo).doing(|| format!("copy {}", echo.display()))?;
    let text = serde_json::to_string(options)
        .map_err(|error| LabError::Content(format!("options: {error}")))?;
    let file = paths.dir.join("options.json");
    fs::write(&file, text).doing(|| format!("write {}", file.display()))?;
    if paths.name == "default" {
        let link = paths.repo.join("target/lab/kubeconfig");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink("default/kubeconfig", &link)
            .doing(|| format!("link {}", link.display()))?;
    }
    Ok(())
}

/// This program, or, in a test, the one beside the other binaries.
fn program(binaries: &Path) -> PathBuf {
    env::current_exe()
        .ok()
        .filter(|own| own.file_name().is_some_and(|name| name == "sluice-lab"))
        .unwrap_or_else(|| binaries.join("sluice-lab"))
}

/// Starts the lab's first process.
pub(super) fn spawn(paths: &LabPaths) -> Result<ProcessId> {
    let mut command = Command::new(paths.bin().join("sluice-lab"));
    let text = crate::command::run(command.args(["internal", "spawn", &paths.name]))?;
    let id = text.trim().parse().ok().and_then(ProcessId::of);
    id.ok_or_else(|| {
        LabError::Content(format!(
            "the lab's first process ended at once; see {}",
            paths.dir.join("supervisor.log").display()
        ))
    })
}

/// Waits until the lab listens, and returns its port.
pub(super) fn wait_hello(paths: &LabPaths) -> Result<u16> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match control::ask(&paths.dir, &Request::Hello) {
            Ok(answer) => return Ok(answer.port),
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            Err(_) => {
                return Err(LabError::Timeout {
                    what: "the lab's own process".into(),
                    secs: 10,
                    hint: format!("see {}", paths.dir.join("supervisor.log").display()),
                });
            }
        }
    }
}

impl Lab {
    /// From a first process to nodes and tenants that are Ready.
    pub(super) fn boot(&self, progress: Progress<'_>) -> Result<()> {
        let (paths, options) = (&self.paths, &self.state.options);
        let plans = options.node_plans();
        credentials::create(paths, options.families, &plans, self.state.port)?;
        if options.ovn.is_some_and(|ovn| ovn.tls) {
            ovn::certify(paths)?;
        }
        self.ask(&Request::Network)?;
        progress("networks are up");
        let cluster = Cluster::new(paths)?;
        thread::scope(|scope| {
            let nodes: Vec<_> = plans
                .iter()
                .map(|plan| {
                    scope.spawn(|| {
                        self.ask(&Request::NodeOn {
                            node: plan.name.clone(),
                        })
                    })
                })
                .collect();
            let network = options
                .ovn
                .map(|_| scope.spawn(|| self.ask(&Request::OvnUp)));
            self.start_control_plane(&cluster, progress)?;
            if let Some(network) = network {
                network
                    .join()
                    .unwrap_or_else(|_| Err(LabError::Content("a thread died".into())))?;
                progress("the OVN network is up");
            }
            for node in nodes {
                node.join()
                    .unwrap_or_else(|_| Err(LabError::Content("a thread died".into())))?;
            }
            Ok(())
        })?;
        cluster.apply(manifests::base(), 15)?;
        credentials::write_service_account(
            paths,
            options.families,
            &cluster.token("kube-system", "multus")?,
        )?;
        let ready = paths.control_plane().join("ready");
        fs::write(&ready, "").doing(|| format!("write {}", ready.display()))?;
        cluster.apply(&manifests::networks(paths, options.families), 15)?;
        if options.ovn.is_some_and(|ovn| ovn.tls) {
            cluster.apply(&ovn::secret(paths)?.to_string(), 15)?;
        }
        for (below, what) in [
            ("deploy/crds", "our kinds"),
            ("deploy/operator", "the operator"),
        ] {
            if below.ends_with("operator") && !options.operator {
                progress("no operator, as asked");
                continue;
            }
            if below.ends_with("crds") && !options.definitions {
                progress("no definitions, as asked");
                continue;
            }
            match manifests::directory(paths, below)? {
                Some(text) => {
                    cluster.apply(&text, 15)?;
                    progress(&format!("applied {what}"));
                }
                None => progress(&format!("{below} is empty: {what} left out")),
            }
        }
        if options.tenants {
            cluster.apply(&manifests::tenants(options)?, 15)?;
        }
        cluster.wait_nodes(plans.len(), 60)?;
        progress(&format!("{} nodes are Ready", plans.len()));
        if options.tenants {
            cluster.wait_pods("tenants", 60)?;
            progress("tenant pods are Ready");
        }
        if options.operator {
            match cluster.wait_deployments("sluice-system", 30) {
                Ok(()) => progress("the operator is available"),
                // A lab without a working operator is still of use to find out why.
                Err(error) => progress(&format!("note: {}", error.one_line())),
            }
        }
        Ok(())
    }

    fn start_control_plane(&self, cluster: &Cluster, progress: Progress<'_>) -> Result<()> {
        let start = |component| self.ask(&Request::Start { component });
        start(Component::Etcd)?;
        start(Component::ApiServer)?;
        cluster.wait_ready(60)?;
        progress("the API server is ready");
        start(Component::ControllerManager)?;
        start(Component::Scheduler)?;
        Ok(())
    }
}
