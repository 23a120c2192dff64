//! The data plane of a gateway's agent, and what it is told to do.

use std::sync::mpsc;
use std::thread::JoinHandle;

use sluice_core::config::Snapshot;
use sluice_core::entry::{Entry, FORMAT};
use sluice_core::identity::{Revision, Uid};
use sluice_crds::internal::{ConfigLan, ConfigSettings, ConfigSubnet, ConfigUplink};
use sluice_gateway_agent::kernel::{Applied, Kernel, KernelOptions};

use super::{drop_privileges, in_ns};

type Job<P> = Box<dyn FnOnce(&mut P) + Send>;

/// An agent's data plane on a thread of its own, with a pod's privileges.
pub struct Gateway<P = Kernel> {
    jobs: Option<mpsc::Sender<Job<P>>>,
    thread: Option<JoinHandle<()>>,
}

impl<P: 'static> Gateway<P> {
    pub fn start(ns: &str, open: impl FnOnce() -> P + Send + 'static) -> Self {
        let (jobs, todo) = mpsc::channel::<Job<P>>();
        let thread = in_ns(ns, move || {
            drop_privileges();
            let mut plane = open();
            for job in todo {
                job(&mut plane);
            }
        });
        Self {
            jobs: Some(jobs),
            thread: Some(thread),
        }
    }

    /// What the work returns, which is over then.
    pub fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut P) -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        let job: Job<P> = Box::new(move |plane| {
            let _ = tell.send(work(plane));
        });
        self.jobs.as_ref().unwrap().send(job).unwrap();
        told.recv().expect("the job panicked")
    }

    /// Ends the agent without clearing anything: a crash.
    pub fn stop(self) {}
}

impl<P> Drop for Gateway<P> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Gateway {
    /// The data plane itself, in a namespace that is made as a pod's.
    pub fn open(ns: &str, ownership: bool) -> Self {
        Self::start(ns, move || Kernel::open(options(ownership)).unwrap())
    }

    pub fn apply(&self, generation: i64, entries: &[&str], holding: bool) -> Applied {
        self.apply_with(settings(), generation, entries, holding)
    }

    /// Applies, and flushes what that made void.
    pub fn apply_with(
        &self,
        settings: ConfigSettings,
        generation: i64,
        entries: &[&str],
        holding: bool,
    ) -> Applied {
        let snapshot = snapshot(settings, entries);
        self.with(move |kernel| {
            let applied = kernel.apply(&snapshot, &revision(generation), holding);
            let applied = applied.unwrap();
            if let Some(flush) = &applied.flush {
                kernel.flush(flush).unwrap();
            }
            applied
        })
    }
}

pub fn options(ownership: bool) -> KernelOptions {
    KernelOptions {
        pod_interface: "eth0".into(),
        node: "node-a".into(),
        pod_addresses: vec![
            "10.250.0.2".parse().unwrap(),
            "fd00:10:250::2".parse().unwrap(),
        ],
        ownership,
    }
}

pub fn revision(generation: i64) -> Revision {
    Revision {
        uid: Uid::new("6f1c2f0e-3d5b-4d0c-9a51-c0ffee000001"),
        generation,
    }
}

pub fn settings() -> ConfigSettings {
    let subnet = |cidr: &str, gateway: &str| ConfigSubnet {
        cidr: cidr.into(),
        gateway: Some(gateway.into()),
    };
    ConfigSettings::new(
        ConfigLan {
            interface: "lan0".into(),
            addresses: vec!["10.244.0.254/16".into(), "fd00:10:244::fe/64".into()],
            routes: vec![],
        },
        vec![ConfigUplink {
            name: "external".into(),
            interface: "eth1".into(),
            subnets: vec![
                subnet("10.155.30.0/24", "10.155.30.1"),
                subnet("2001:db8:1::/64", "2001:db8:1::1"),
            ],
            ipv4: None,
            ipv6: None,
        }],
    )
}

pub fn snapshot(settings: ConfigSettings, entries: &[&str]) -> Snapshot {
    let entries = entries.iter().map(|line| line.parse::<Entry>().unwrap());
    Snapshot::new(settings, entries.collect())
}
