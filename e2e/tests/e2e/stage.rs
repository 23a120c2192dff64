//! What every scenario works on: the lab, its API, and the means of proof.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::Value;
use sluice_e2e::evidence::History;
use sluice_e2e::evidence::checker::Demands;
use sluice_e2e::evidence::history::{Harm, Mark};
use sluice_e2e::evidence::journal::{self, Keeper};
use sluice_e2e::evidence::leak::LookOut;
use sluice_e2e::evidence::prober::{Method, Prober, Target};
use sluice_e2e::evidence::watcher::{self, Watches};
use sluice_e2e::{Host, Lab};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Outcome, wrong};
use crate::runner::INTERRUPTED;

/// Between two looks of a wait.
const LOOK: Duration = Duration::from_millis(20);

/// What every scenario works on.
pub struct Stage {
    pub lab: Lab,
    pub client: Client,
    pub history: History,
    pub prober: Prober,
    pub look_out: LookOut,
    /// The logs of the operator and the gateways.
    pub keeper: Keeper,
    /// How many lines of each were there when the scenario began.
    pub logged: BTreeMap<String, usize>,
    /// What the rules ask of this scenario.
    pub demands: Demands,
    /// Whether long forms are wanted.
    pub full: bool,
    /// Whether rounds of chaos are what is run.
    pub chaos: bool,
    /// Tenant pods whose node went off: the container that ended by it.
    pub ended: BTreeMap<String, String>,
    /// The record's own watches.
    pub watches: Watches,
    runtime: Runtime,
    servers: Vec<Child>,
    random: u64,
    name: String,
    deadline: Instant,
    told: Vec<String>,
}

impl Stage {
    /// A stage on a lab that is up.
    pub fn new(lab: Lab, seed: u64, full: bool) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let client = runtime.block_on(lab.client())?;
        let history = History::new();
        let watches = {
            let _inside = runtime.enter();
            watcher::start(&client, &history)
        };
        let prober = Prober::start(&lab.netns(&Host::Fixed("client".into()))?, &history)?;
        let paths = lab.paths();
        let nodes = lab.state().options.node_plans();
        let nodes = nodes
            .iter()
            .map(|n| paths.node(&n.name).join("var-log/pods"));
        let logs = paths.repo.join("target/e2e").join(&paths.name).join("logs");
        let keeper = Keeper::start(nodes.collect(), logs);
        let mut stage = Self {
            lab,
            client,
            history,
            prober,
            look_out: LookOut::default(),
            keeper,
            logged: BTreeMap::new(),
            demands: Demands::default(),
            full,
            chaos: false,
            ended: BTreeMap::new(),
            runtime,
            watches,
            servers: Vec::new(),
            random: seed | 1,
            name: String::new(),
            deadline: Instant::now(),
            told: Vec::new(),
        };
        for host in ["client", "client2"] {
            stage.serve(host)?;
        }
        for host in ["client", "router", "node/node-a", "node/node-b"] {
            stage.look_out_on(host)?;
        }
        Ok(stage)
    }

    /// Starts the record of a scenario.
    pub fn begin(&mut self, name: &str, time: Duration) -> Outcome {
        self.name = name.to_owned();
        self.told.clear();
        self.demands = Demands::default();
        self.allow(time);
        let dir = self.dir();
        // What an earlier run left there would only mislead.
        let _ = fs::remove_dir_all(&dir);
        self.logged = journal::lines(&self.keeper.logs());
        self.history.begin(&dir.join("history.jsonl"))?;
        Ok(())
    }

    /// Where the scenario's evidence is kept.
    pub fn dir(&self) -> PathBuf {
        let name: String = self
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        self.lab
            .paths()
            .repo
            .join("target/e2e")
            .join(&self.lab.paths().name)
            .join(name)
    }

    /// Gives the scenario so much time from now.
    pub fn allow(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }

    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Runs a future to its end.
    pub fn block<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Adds a figure or a remark to the scenario's line.
    pub fn tell(&mut self, text: impl Into<String>) {
        self.told.push(text.into());
    }

    pub fn told(&self) -> String {
        if self.told.is_empty() {
            String::new()
        } else {
            format!("  [{}]", self.told.join("; "))
        }
    }

    /// Random numbers begin anew.
    pub fn seed(&mut self, seed: u64) {
        self.random = seed;
    }

    /// Moves the scenario's evidence to where no later one overwrites it.
    pub fn keep_evidence(&self, name: &str) -> PathBuf {
        let kept = self.dir().with_file_name(name);
        let _ = fs::remove_dir_all(&kept);
        match fs::rename(self.dir(), &kept) {
            Ok(()) => kept,
            Err(_) => self.dir(),
        }
    }

    /// The next random number (splitmix64).
    pub fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        sluice_core::spread::mix(self.random)
    }

    /// A random number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random() % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// Puts a list into a random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }

    /// Looks every 20 ms until `found` says something; after `secs`, or when
    /// the scenario's time is over, it fails with `what` and the last `why`.
    pub fn wait_for<T>(
        &self,
        what: &str,
        secs: f64,
        mut look: impl FnMut() -> Result<T, String>,
    ) -> Outcome<T> {
        let start = Instant::now();
        let until = (start + Duration::from_secs_f64(secs)).min(self.deadline);
        loop {
            match look() {
                Ok(found) => return Ok(found),
                Err(why) if Instant::now() > until => {
                    let waited = start.elapsed().as_secs_f64();
                    return wrong(format!("{what} did not happen within {waited:.1} s: {why}"));
                }
                Err(_) if INTERRUPTED.load(Ordering::Relaxed) => return wrong("interrupted"),
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// Like [`Stage::wait_for`], for what is either so or not.
    pub fn wait(&self, what: &str, secs: f64, mut look: impl FnMut() -> bool) -> Outcome {
        self.wait_for(what, secs, || {
            if look() {
                Ok(())
            } else {
                Err("still not so".to_owned())
            }
        })
    }

    /// Whether the scenario's time is over.
    pub fn is_late(&self) -> bool {
        Instant::now() > self.deadline || INTERRUPTED.load(Ordering::Relaxed)
    }

    /// Lets time pass.
    pub fn pause(&self, secs: f64) {
        let until = Instant::now() + Duration::from_secs_f64(secs);
        while Instant::now() < until && !INTERRUPTED.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Notes a step in the record.
    pub fn note(&self, text: impl Into<String>) {
        self.history.note(text);
    }

    /// Notes that something is about to be broken.
    pub fn fault(&self, harm: Harm, text: impl Into<String>) {
        self.history.mark(Mark::Fault {
            harm,
            text: text.into(),
        });
    }

    /// Notes when pods with a label end, until the handle is aborted.
    pub fn note_endings(&self, label: &str) -> Outcome<JoinHandle<()>> {
        let client = self.runtime.block_on(self.lab.client())?;
        let notes = watcher::endings(client, label.to_owned(), self.history.clone());
        Ok(self.runtime.spawn(notes))
    }

    /// Notes that nothing is promised of these objects' traffic any more.
    pub fn retire(&self, objects: &[String]) {
        self.history.mark(Mark::Retire {
            objects: objects.to_vec(),
        });
    }

    /// Probes an EIP's or a FIP's addresses from now on: the EIP by ping, the
    /// FIP by datagrams to the pod behind it.
    pub fn probe(&self, kind: &str, namespace: &str, name: &str) -> Outcome {
        let eip = match kind {
            "FIP" => self
                .live("FIP", namespace, name)
                .map(|fip| text(&fip, "/spec/eip/name")),
            _ => Some(name.to_owned()),
        };
        let Some(object) = eip.and_then(|eip| self.live("EIP", namespace, &eip)) else {
            return wrong(format!(
                "{kind} {namespace}/{name} is not there to be probed"
            ));
        };
        let method = if kind == "FIP" {
            Method::Udp
        } else {
            Method::Ping
        };
        for at in ["/status/ipv4", "/status/ipv6"] {
            if let Ok(address) = text(&object, at).parse() {
                self.prober.add(Target {
                    object: format!("{kind}/{namespace}/{name}"),
                    address,
                    method,
                });
            }
        }
        Ok(())
    }

    /// Ends the probes of a scenario, all losses known.
    pub fn probe_settle(&self) {
        if !self.prober.standings().is_empty() {
            self.prober.settle();
        }
        self.prober.clear();
    }

    /// An object as the watch shows it.
    pub fn live(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.history.live(kind, namespace, name)
    }

    /// Starts an echo server on a host of the lab.
    fn serve(&mut self, host: &str) -> Outcome {
        let program = self.lab.paths().bin().join("sluice-echo");
        let child = self.lab.within(&Host::Fixed(host.into()), || {
            Command::new(&program)
                .env("POD_NAME", host)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|source| sluice_e2e::LabError::Io {
                    action: format!("serve on {host}"),
                    source,
                })
        })?;
        self.servers.push(child);
        Ok(())
    }

    /// Watches a host's links for leaks from now on.
    pub fn look_out_on(&mut self, host: &str) -> Outcome {
        let namespace = self.lab.netns(&host.parse()?)?;
        self.look_out.attach(host, &namespace, &self.history)?;
        Ok(())
    }

    /// Lets the lab outlive this run.
    pub fn keep(&mut self) {
        println!(
            "e2e: the lab stays: KUBECONFIG={}",
            self.lab.paths().kubeconfig().display()
        );
        self.lab.keep();
    }

    /// Writes a file beside the record.
    pub fn write(&self, name: &str, content: &[u8]) {
        let dir = self.dir();
        let written = fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join(name), content));
        if let Err(error) = written {
            eprintln!("e2e: {}: {error}", dir.join(name).display());
        }
    }

    /// The lab's echo program.
    pub fn echo(&self) -> PathBuf {
        self.lab.paths().bin().join("sluice-echo")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A text in an object, empty when it is not there.
pub fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A path as text, for command lines.
pub fn path_text(path: &Path) -> Outcome<&str> {
    path.to_str()
        .ok_or_else(|| Failure::Wrong(format!("{} is no text", path.display())))
}
