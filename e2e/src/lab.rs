//! A lab as a value: bringing one up, working on it, taking it down.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::cgroup::Cgroup;
use crate::cluster::{self, Cluster};
use crate::control::{self, Answer, Request};
use crate::control_plane::Component;
use crate::credentials;
use crate::error::{Doing, LabError, Result};
use crate::host::{Host, PodProcess};
use crate::image;
use crate::manifests;
use crate::netns;
use crate::node_config;
use crate::options::UpOptions;
use crate::paths::LabPaths;
use crate::state::{ProcessId, State};

/// A running lab. Unless it is [kept](Lab::keep), it goes down when this value
/// is dropped, and also when the process that holds it dies in any way.
pub struct Lab {
    paths: LabPaths,
    state: State,
    guard: Option<Guard>,
}

/// Says how far bringing a lab up has come.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

impl Lab {
    /// Brings a lab up and waits until its nodes and tenants are Ready. What a
    /// crashed lab of that name left is removed first.
    ///
    /// # Errors
    /// When one of that name runs, something is not built, or a part does not
    /// come up in time; what was started is then taken down again.
    pub fn up(options: &UpOptions, progress: Progress<'_>) -> Result<Self> {
        let paths = LabPaths::new(&options.name)?;
        require(options, &paths)?;
        if State::read(&paths)
            .ok()
            .flatten()
            .is_some_and(|state| state.init.alive())
        {
            return Err(LabError::Refused(format!(
                "the lab {:?} is up already: use it, or `sluice-lab --name {} down` first",
                paths.name, paths.name
            )));
        }
        let lock = lock(&paths)?;
        remove_rests(&paths)?;
        let packed = image::pack_all(&paths)?;
        if !packed.is_empty() {
            progress(&format!("packed images: {}", packed.join(", ")));
        }
        prepare_files(&paths, options)?;
        let guard = Guard::start(&paths)?;
        let init = spawn(&paths)?;
        let port = wait_hello(&paths)?;
        let state = State {
            init,
            port,
            options: options.clone(),
        };
        state.write(&paths)?;
        let lab = Self {
            paths,
            state,
            guard: Some(guard),
        };
        drop(lock);
        lab.boot(progress).inspect_err(|_| {
            let logs = keep_logs(&lab.paths);
            progress(&format!(
                "failed; the lab's logs are kept in {}",
                logs.display()
            ));
        })?;
        Ok(lab)
    }

    /// The lab of that name that runs now, for commands that find it running.
    /// The value keeps it.
    ///
    /// # Errors
    /// When none runs.
    pub fn open(name: &str) -> Result<Self> {
        let paths = LabPaths::new(name)?;
        match State::read(&paths)? {
            Some(state) if state.init.alive() => Ok(Self {
                paths,
                state,
                guard: None,
            }),
            Some(_) => Err(LabError::Refused(format!(
                "the lab {name:?} died: `sluice-lab --name {name} up` starts it anew, `down` removes its rests"
            ))),
            None => Err(LabError::Refused(format!(
                "no lab {name:?} runs: start it with `sluice-lab --name {name} up`"
            ))),
        }
    }

    /// Lets the lab outlive this value and this process.
    pub fn keep(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
    }

    /// Where the lab keeps its files.
    #[must_use]
    pub fn paths(&self) -> &LabPaths {
        &self.paths
    }

    /// How it was brought up, and its first process.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A client of its API server, as administrator.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn client(&self) -> Result<kube::Client> {
        cluster::client(&self.paths).await
    }

    /// Its kubectl.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        cluster::kubectl(&self.paths)
    }

    /// Asks the lab's own process; see [`Request`].
    ///
    /// # Errors
    /// With the lab's words.
    pub fn ask(&self, request: &Request) -> Result<Answer> {
        control::ask(&self.paths.dir, request)
    }

    /// The network namespace of a host, as a path to open.
    ///
    /// # Errors
    /// When the host is off or the pod does not run.
    pub fn netns(&self, host: &Host) -> Result<PathBuf> {
        host.netns(&self.paths, &self.state)
    }

    /// Runs `work` on a thread in a host's network namespace.
    ///
    /// # Errors
    /// When the host is not there, and with what `work` fails with.
    pub fn within<T: Send>(
        &self,
        host: &Host,
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        netns::within(&self.netns(host)?, work)
    }

    /// Runs a program of this machine in a host's network namespace, and
    /// returns its status and output.
    ///
    /// # Errors
    /// When the host is not there or the program cannot be started. A program
    /// that fails is no error: look at its status.
    pub fn exec(&self, host: &Host, argv: &[&str]) -> Result<Output> {
        let Some((program, args)) = argv.split_first() else {
            return Err(LabError::Refused("exec needs a command".into()));
        };
        self.within(host, || {
            Command::new(program)
                .args(args)
                .stdin(Stdio::null())
                .output()
                .doing(|| format!("run {program} on {host}"))
        })
    }

    /// Sends a signal to every process of a pod but its pause process, and
    /// returns how many got it.
    ///
    /// # Errors
    /// When the pod does not run.
    pub fn signal(&self, host: &Host, signal: Signal) -> Result<usize> {
        let processes: Vec<PodProcess> = host
            .processes(&self.paths, &self.state)?
            .into_iter()
            .filter(|p| !p.pause)
            .collect();
        for process in &processes {
            if let Some(pid) = Pid::from_raw(process.pid) {
                kill_process(pid, signal)
                    .doing(|| format!("signal process {} of {host}", process.pid))?;
            }
        }
        Ok(processes.len())
    }

    /// Packs what was rebuilt and imports it on every node that is on.
    ///
    /// # Errors
    /// When a node refuses an image.
    pub fn load_images(&self) -> Result<Vec<String>> {
        let packed = image::pack_all(&self.paths)?;
        let running = self.ask(&Request::Status)?.running;
        for node in self.state.options.node_plans() {
            if running.contains(&node.name) {
                self.ask(&Request::Import { node: node.name })?;
            }
        }
        Ok(packed)
    }

    /// Takes the lab of that name down and removes every trace of it. No lab
    /// of that name is no error.
    ///
    /// # Errors
    /// When a process survives SIGKILL, or files cannot be removed.
    pub fn down(name: &str) -> Result<()> {
        let paths = LabPaths::new(name)?;
        let _lock = lock(&paths)?;
        remove_rests(&paths)
    }

    fn boot(&self, progress: Progress<'_>) -> Result<()> {
        let (paths, options) = (&self.paths, &self.state.options);
        let plans = options.node_plans();
        credentials::create(paths, options.families, &plans, self.state.port)?;
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
            self.start_control_plane(&cluster, progress)?;
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
        for (below, what) in [
            ("deploy/crds", "our kinds"),
            ("deploy/operator", "the operator"),
        ] {
            if below.ends_with("operator") && !options.operator {
                progress("no operator, as asked");
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

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            let result = Self::down(&self.paths.name);
            guard.dismiss();
            if let Err(error) = result {
                eprintln!("lab {}: {}", self.paths.name, error.one_line());
            }
        }
    }
}

/// A process that takes the lab down when the one that started it dies.
struct Guard {
    child: Child,
    pipe: ChildStdin,
}

impl Guard {
    fn start(paths: &LabPaths) -> Result<Self> {
        let mut child = Command::new(paths.bin().join("sluice-lab"))
            .args(["internal", "guard", &paths.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| "start the lab's guard".into())?;
        match child.stdin.take() {
            Some(pipe) => Ok(Self { child, pipe }),
            None => Err(LabError::Content("the guard has no standard input".into())),
        }
    }

    /// Ends the guard; the lab stays as it is.
    fn dismiss(mut self) {
        let _ = self.pipe.write_all(b"keep");
        drop(self.pipe);
        let _ = self.child.wait();
    }
}

/// The `internal guard` command: waits until its starter closes the pipe, by
/// dying or otherwise, and takes the lab down unless it was told to keep it.
///
/// # Errors
/// As [`Lab::down`].
pub fn guard(name: &str) -> Result<()> {
    use std::io::Read as _;
    rustix::process::setsid().doing(|| "start a session".into())?;
    let mut text = String::new();
    let _ = std::io::stdin().read_to_string(&mut text);
    if text == "keep" {
        Ok(())
    } else {
        Lab::down(name)
    }
}

/// What must hold before anything is started.
fn require(options: &UpOptions, paths: &LabPaths) -> Result<()> {
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

fn prepare_files(paths: &LabPaths, options: &UpOptions) -> Result<()> {
    fs::create_dir_all(&paths.dir).doing(|| format!("make {}", paths.dir.display()))?;
    let binaries = image::binary_dir(paths)?;
    node_config::link_programs(paths, &program(&binaries))?;
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

/// Copies the logs of a lab that is about to be removed, and says where to.
fn keep_logs(paths: &LabPaths) -> PathBuf {
    let to = paths.repo.join("target/lab/.failed").join(&paths.name);
    let _ = fs::remove_dir_all(&to);
    let _ = fs::create_dir_all(&to);
    let nodes = fs::read_dir(paths.dir.join("nodes"))
        .into_iter()
        .flatten()
        .flatten();
    let dirs = [paths.dir.clone(), paths.control_plane()]
        .into_iter()
        .chain(nodes.map(|n| n.path()));
    for file in dirs.flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten()) {
        let path = file.path();
        if path.extension().is_some_and(|ending| ending == "log") {
            let place = path
                .parent()
                .and_then(Path::file_name)
                .unwrap_or_default()
                .to_string_lossy();
            let _ = fs::copy(
                &path,
                to.join(format!("{place}-{}", file.file_name().to_string_lossy())),
            );
        }
    }
    to
}

/// This program, or, in a test, the one beside the other binaries.
fn program(binaries: &Path) -> PathBuf {
    env::current_exe()
        .ok()
        .filter(|own| own.file_name().is_some_and(|name| name == "sluice-lab"))
        .unwrap_or_else(|| binaries.join("sluice-lab"))
}

/// Starts the lab's first process.
fn spawn(paths: &LabPaths) -> Result<ProcessId> {
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
fn wait_hello(paths: &LabPaths) -> Result<u16> {
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

/// Kills what runs of a lab and removes its cgroups and files. Mounts and
/// network namespaces end with the processes.
fn remove_rests(paths: &LabPaths) -> Result<()> {
    if let Some(state) = State::read(paths)
        .ok()
        .flatten()
        .filter(|state| state.init.alive())
    {
        // A frozen node would not die.
        let cgroup = Cgroup::new(paths.unique());
        for node in state.options.node_plans() {
            let _ = cgroup.child(&node.name).freeze(false);
        }
        if let Some(pid) = Pid::from_raw(state.init.pid) {
            kill_process(pid, Signal::KILL).doing(|| format!("kill process {}", state.init.pid))?;
        }
    }
    Cgroup::new(paths.unique()).destroy()?;
    if paths.dir.exists() {
        fs::remove_dir_all(&paths.dir).doing(|| format!("remove {}", paths.dir.display()))?;
    }
    if paths.name == "default" {
        let _ = fs::remove_file(paths.repo.join("target/lab/kubeconfig"));
    }
    Ok(())
}

/// Keeps others from bringing this lab up or down, as long as it is held.
fn lock(paths: &LabPaths) -> Result<File> {
    let dir = paths.repo.join("target/lab/.locks");
    fs::create_dir_all(&dir).doing(|| format!("make {}", dir.display()))?;
    let path = dir.join(&paths.name);
    let file = File::create(&path).doing(|| format!("open {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive).doing(|| format!("lock {}", path.display()))?;
    Ok(file)
}
