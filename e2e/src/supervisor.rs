//! The process that a lab consists of: it starts everything else, in its own
//! pid and mount namespaces, so that nothing outlives it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::mount::{MountFlags, mount};

use crate::command::run;
use crate::control::{self, Answer, Request};
use crate::control_plane::Component;
use crate::error::{Doing, LabError, Result};
use crate::families::NodePlan;
use crate::forward;
use crate::init::internal;
use crate::ipam;
use crate::netns;
use crate::network;
use crate::node::{append, plan_of};
use crate::node_config::{self, cgroup};
use crate::options::UpOptions;
use crate::ovn::{self, OvnOptions};
use crate::paths::LabPaths;

/// The outside hosts that run an echo server.
const ECHO_HOSTS: [&str; 3] = ["client", "client2", "router"];

/// What runs in a lab.
struct Supervisor {
    paths: LabPaths,
    options: UpOptions,
    port: u16,
    components: Mutex<BTreeMap<Component, Child>>,
    nodes: Mutex<BTreeMap<String, Child>>,
}

/// The `internal supervise` command: serves requests until it is killed.
///
/// # Errors
/// When the lab's directory lacks what `up` puts there.
pub fn run_forever(paths: LabPaths) -> Result<()> {
    let file = paths.dir.join("options.json");
    let text = fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
    let options: UpOptions = serde_json::from_str(&text)
        .map_err(|error| LabError::Content(format!("{}: {error}", file.display())))?;
    let ns = paths.dir.join("ns");
    fs::create_dir_all(&ns).doing(|| format!("make {}", ns.display()))?;
    mount("tmpfs", &ns, "tmpfs", MountFlags::empty(), None)
        .doing(|| format!("mount {}", ns.display()))?;
    let port = forward::start(paths.netns("cp"))?;
    let listener = control::listen(&paths.dir)?;
    let supervisor = Arc::new(Supervisor {
        paths,
        options,
        port,
        components: Mutex::default(),
        nodes: Mutex::default(),
    });
    for stream in listener.incoming().flatten() {
        let supervisor = Arc::clone(&supervisor);
        thread::spawn(move || control::answer(&stream, |request| supervisor.serve(request)));
    }
    Ok(())
}

impl Supervisor {
    fn serve(&self, request: Request) -> Result<Answer> {
        match request {
            Request::Hello => {
                return Ok(Answer {
                    port: self.port,
                    ..Answer::default()
                });
            }
            Request::Status => {
                return Ok(Answer {
                    running: self.running(),
                    ..Answer::default()
                });
            }
            Request::Network => self.network()?,
            Request::Start { component } => self.start(component)?,
            Request::Stop { component } => self.stop(component),
            Request::NodeOn { node } => self.node_on(&self.plan(&node)?)?,
            Request::NodeOff { node } => self.node_off(&self.plan(&node)?)?,
            Request::Freeze { node, frozen } => {
                cgroup(&self.paths, &self.plan(&node)?.name).freeze(frozen)?;
            }
            Request::Partition { node, cut } => {
                network::partition(&self.paths, &self.plan(&node)?, cut)?;
            }
            Request::Import { node } => self.import(&self.plan(&node)?)?,
            Request::OvnUp => ovn::up(&self.paths, self.ovn()?)?,
            Request::Ovn { words } => {
                if let Some("up" | "down") = words.first().map(String::as_str) {
                    return Err(LabError::Refused(
                        "the OVN network comes and goes with the lab".into(),
                    ));
                }
                return Ok(Answer {
                    text: ovn::script(&self.paths, self.ovn()?, &words)?,
                    ..Answer::default()
                });
            }
        }
        Ok(Answer::default())
    }

    fn plan(&self, name: &str) -> Result<NodePlan> {
        let plan = plan_of(name)?;
        let plans = self.options.node_plans();
        if plans.contains(&plan) {
            return Ok(plan);
        }
        let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        Err(LabError::Refused(format!(
            "no node {name:?} in this lab: it has {}",
            names.join(", ")
        )))
    }

    fn ovn(&self) -> Result<OvnOptions> {
        self.options.ovn.ok_or_else(|| {
            LabError::Refused("this lab has no OVN network: bring it up with --ovn".into())
        })
    }

    fn running(&self) -> Vec<String> {
        let mut parts = Vec::new();
        for (component, child) in locked(&self.components).iter_mut() {
            if lives(child) {
                parts.push(component.program().to_owned());
            }
        }
        for (node, child) in locked(&self.nodes).iter_mut() {
            if lives(child) {
                parts.push(node.clone());
            }
        }
        parts
    }

    fn network(&self) -> Result<()> {
        network::create(&self.paths, self.options.families)?;
        let mut hosts = ECHO_HOSTS.to_vec();
        if self.options.ovn.is_some() {
            ovn::create(&self.paths)?;
            hosts.extend(ovn::MACHINES);
        }
        let echo = self.paths.bin().join("sluice-echo");
        for host in hosts.into_iter().filter(|_| echo.exists()) {
            let log = append(&self.paths.dir.join(format!("echo-{host}.log")))?;
            netns::within(&self.paths.netns(host), || {
                Command::new(&echo)
                    .env("POD_NAME", host)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(log)
                    .spawn()
                    .doing(|| format!("start the echo server of {host}"))
                    .map(drop)
            })?;
        }
        Ok(())
    }

    fn start(&self, component: Component) -> Result<()> {
        let mut components = locked(&self.components);
        if components.get_mut(&component).is_some_and(lives) {
            return Ok(());
        }
        let program = component.program();
        let dir = self.paths.control_plane();
        let log = append(&dir.join(format!("{program}.log")))?;
        let errors = log.try_clone().doing(|| "copy a log's descriptor".into())?;
        let child = netns::within(&self.paths.netns("cp"), || {
            Command::new(self.paths.bin().join(program))
                .args(component.arguments(&self.paths, &self.options))
                .current_dir(&dir)
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors)
                .spawn()
                .doing(|| format!("start {program}: is it built? `make setup` builds it"))
        })?;
        components.insert(component, child);
        Ok(())
    }

    fn stop(&self, component: Component) {
        if let Some(mut child) = locked(&self.components).remove(&component) {
            // Killed, not asked: an API server without its store never ends by itself.
            let _ = (child.kill(), child.wait());
        }
    }

    fn node_on(&self, node: &NodePlan) -> Result<()> {
        let mut nodes = locked(&self.nodes);
        if nodes.get_mut(&node.name).is_some_and(lives) {
            return Ok(());
        }
        network::create_node(
            &self.paths,
            self.options.families,
            node,
            &self.options.node_plans(),
        )?;
        let group = cgroup(&self.paths, &node.name);
        group.destroy()?;
        group.child("system").create()?;
        node_config::write(&self.paths, &self.options, node)?;
        let dir = self.paths.node(&node.name);
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/uuid")
            .doing(|| "read a random UUID".into())?;
        let file = dir.join("boot-id");
        fs::write(&file, boot_id).doing(|| format!("write {}", file.display()))?;
        let log = append(&dir.join("node.log"))?;
        let errors = log.try_clone().doing(|| "copy a log's descriptor".into())?;
        let child = internal(&["node", &self.paths.name, &node.name])
            .stdout(log)
            .stderr(errors)
            .spawn()
            .doing(|| format!("start {}", node.name))?;
        nodes.insert(node.name.clone(), child);
        Ok(())
    }

    fn node_off(&self, node: &NodePlan) -> Result<()> {
        let mut nodes = locked(&self.nodes);
        // Left behind, the cgroups of dead containers delay the next start of
        // the kubelet by seconds each.
        cgroup(&self.paths, &node.name).destroy()?;
        if let Some(mut child) = nodes.remove(&node.name) {
            let _ = child.wait();
        }
        network::remove_node(&self.paths, node);
        ipam::release(&self.paths, &node.name)
    }

    fn import(&self, node: &NodePlan) -> Result<()> {
        let file = self.paths.node(&node.name).join("init.pid");
        let pid = fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
        run(Command::new("nsenter")
            .args(["-t", pid.trim(), "-m", "-p", "-n", "--"])
            .arg(self.paths.bin().join("sluice-lab"))
            .args(["internal", "import", &self.paths.name]))
        .map(drop)
    }
}

/// Whether a child still runs; one that ended is reaped.
fn lives(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(None))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
