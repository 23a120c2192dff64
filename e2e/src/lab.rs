//! A lab as a value: bringing one up, working on it, taking it down.

mod guard;
mod start;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

pub use guard::guard;

use crate::cgroup::Cgroup;
use crate::cluster;
use crate::control::{self, Answer, Request};
use crate::error::{Doing, LabError, Result};
use crate::host::{Host, PodProcess};
use crate::image;
use crate::netns;
use crate::options::UpOptions;
use crate::paths::LabPaths;
use crate::state::State;
use guard::Guard;

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
        start::require(options, &paths)?;
        // Held while it is looked at, too: one that is being started or taken
        // down is neither there nor gone.
        let lock = lock(&paths)?;
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
        remove_rests(&paths)?;
        let packed = image::pack_all(&paths)?;
        if !packed.is_empty() {
            progress(&format!("packed images: {}", packed.join(", ")));
        }
        start::prepare_files(&paths, options, progress)?;
        let guard = Guard::start(&paths)?;
        let init = start::spawn(&paths)?;
        let port = start::wait_hello(&paths)?;
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

    /// Runs a command of the OVN network's script, as `["nbctl", "show"]`; what it printed.
    ///
    /// # Errors
    /// When the lab has no such network, and with the command's words.
    pub fn ovn(&self, words: &[String]) -> Result<String> {
        let words = words.to_vec();
        Ok(self.ask(&Request::Ovn { words })?.text)
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
    /// returns how many got it: one that ended meanwhile did not.
    ///
    /// # Errors
    /// When the pod does not run.
    pub fn signal(&self, host: &Host, signal: Signal) -> Result<usize> {
        let processes: Vec<PodProcess> = host
            .processes(&self.paths, &self.state)?
            .into_iter()
            .filter(|p| !p.pause)
            .collect();
        let mut got = 0;
        for process in &processes {
            let Some(pid) = Pid::from_raw(process.pid) else {
                continue;
            };
            match kill_process(pid, signal) {
                Ok(()) => got += 1,
                Err(Errno::SRCH) => {}
                failed => failed.doing(|| format!("signal process {} of {host}", process.pid))?,
            }
        }
        Ok(got)
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
