//! One scenario's namespace: the operator's and the kubelet's part, by hand.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Container, Namespace, Pod, PodSpec};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sluice_core::config::{Config, Rank, compile};
use sluice_core::entry::Entry;
use sluice_core::identity::Uid;
use sluice_crds::internal::{
    ConfigLan, ConfigSettings, ConfigSubnet, ConfigUplink, GatewayInstanceStatus, OwnerGateway,
};
use sluice_crds::{GatewayConfig, GatewayInstance, RuleSlice};

use crate::api_server::ApiServer;
use crate::fake::{self, Kernel, Wishes};

pub const POD: &str = "gw-1";

pub struct World<'a> {
    pub server: &'a ApiServer,
    pub client: Client,
    pub namespace: String,
    pub pod_uid: String,
    pub kubeconfig: PathBuf,
    agents: Vec<Agent>,
}

/// The agent's process, killed when the scenario ends.
pub struct Agent {
    child: Child,
    pub log: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

impl<'a> World<'a> {
    /// A namespace with a gateway's Pod and an empty Lease.
    pub async fn new(server: &'a ApiServer, namespace: &str) -> Self {
        let client = sluice_gateway_agent::server::connect(Some(server.kubeconfig.clone()))
            .await
            .unwrap();
        let spaces: Api<Namespace> = Api::all(client.clone());
        let space = Namespace {
            metadata: named(namespace),
            ..Namespace::default()
        };
        spaces.create(&PostParams::default(), &space).await.unwrap();
        let mut world = Self {
            server,
            client,
            namespace: namespace.to_owned(),
            pod_uid: String::new(),
            kubeconfig: server.kubeconfig.clone(),
            agents: Vec::new(),
        };
        world.pod_uid = world.make_pod(POD).await;
        world.make_lease(0, None).await;
        world
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn make_pod(&self, name: &str) -> String {
        let pod = Pod {
            metadata: ObjectMeta {
                finalizers: Some(vec!["sluice.dev/fenced".to_owned()]),
                ..named(name)
            },
            spec: Some(PodSpec {
                // Never scheduled, so that its deletion would be at once but for
                // the finalizer.
                node_name: Some("node-1".to_owned()),
                service_account_name: Some("agent".to_owned()),
                containers: vec![Container {
                    name: "agent".to_owned(),
                    image: Some("none".to_owned()),
                    ..Container::default()
                }],
                ..PodSpec::default()
            }),
            ..Pod::default()
        };
        let pod = self.api::<Pod>().create(&PostParams::default(), &pod).await;
        pod.unwrap().metadata.uid.unwrap()
    }

    pub async fn make_lease(&self, transitions: i32, holder: Option<&str>) {
        let lease = Lease {
            metadata: named("sluice-egress"),
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                lease_duration_seconds: Some(15),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        };
        self.api()
            .create(&PostParams::default(), &lease)
            .await
            .unwrap();
    }

    pub async fn lease(&self) -> Lease {
        self.api::<Lease>().get("sluice-egress").await.unwrap()
    }

    pub async fn give_lease_to(&self, holder: &str) {
        let patch = json!({"spec": {"holderIdentity": holder, "leaseTransitions": 9}});
        let params = PatchParams::default();
        let leases = self.api::<Lease>();
        leases
            .patch("sluice-egress", &params, &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Writes slices, then the header, as the operator does.
    pub async fn publish(&self, lines: &[String]) -> GatewayConfig {
        self.publish_config(config(lines)).await
    }

    pub async fn publish_config(&self, config: Config) -> GatewayConfig {
        for (name, spec) in config.slices {
            let slice = RuleSlice::new(&name, spec);
            match self
                .api::<RuleSlice>()
                .create(&PostParams::default(), &slice)
                .await
            {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => panic!("{error}"),
            }
        }
        self.publish_header(GatewayConfig::new("egress", config.header))
            .await
    }

    pub async fn publish_header(&self, mut header: GatewayConfig) -> GatewayConfig {
        let headers = self.api::<GatewayConfig>();
        let params = PostParams::default();
        match headers.get_opt("egress").await.unwrap() {
            None => headers.create(&params, &header).await.unwrap(),
            Some(old) => {
                header.metadata.resource_version = old.metadata.resource_version;
                headers.replace("egress", &params, &header).await.unwrap()
            }
        }
    }

    /// Starts the agent; one started anew under the same `kernel` finds what
    /// the one before left there.
    pub fn start(&mut self, kernel: &str) -> usize {
        let file = self.kernel_file(kernel);
        let log = file.with_extension("log");
        let out = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .arg("agent")
            .arg(&file)
            .env("TEST_KUBECONFIG", &self.kubeconfig)
            .env("POD_NAME", POD)
            .env("POD_UID", &self.pod_uid)
            .env("POD_NAMESPACE", &self.namespace)
            .env("POD_IPS", "127.0.0.1")
            .env("HTTP_BIND", "127.0.0.1:0")
            .env("NODE_NAME", "node-1")
            .env("GATEWAY", "egress")
            .env("GATEWAY_UID", "gateway-uid")
            .env("LOG", "debug,hyper=info,tower=info,kube=info,rustls=info")
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        self.agents.push(Agent { child, log });
        self.agents.len() - 1
    }

    fn kernel_file(&self, kernel: &str) -> PathBuf {
        self.server
            .dir
            .join(format!("{}-{kernel}.json", self.namespace))
    }

    pub fn kernel(&self, kernel: &str) -> Kernel {
        fake::read(&self.kernel_file(kernel))
    }

    pub fn wish(&self, kernel: &str, wishes: &Wishes) {
        let path = fake::wishes_path(&self.kernel_file(kernel));
        let new = path.with_extension("w2");
        std::fs::write(&new, serde_json::to_vec(wishes).unwrap()).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    pub fn signal(&self, agent: usize, signal: Signal) {
        let pid = Pid::from_raw(self.agents[agent].child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of the process; the exit code.
    pub async fn ended(&mut self, agent: usize) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.agents[agent].child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                begun.elapsed() < Duration::from_secs(25),
                "the agent does not end"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Resident memory of the agent's process, KiB.
    pub fn rss_kib(&self, agent: usize) -> u64 {
        let path = format!("/proc/{}/status", self.agents[agent].child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub async fn instance(&self) -> GatewayInstance {
        self.api::<GatewayInstance>().get(POD).await.unwrap()
    }

    /// Waits for a report that satisfies `wanted`.
    pub async fn report(
        &self,
        what: &str,
        wanted: impl Fn(&GatewayInstanceStatus) -> bool,
    ) -> GatewayInstanceStatus {
        let begun = Instant::now();
        let mut last = None;
        while begun.elapsed() < Duration::from_secs(15) {
            if let Ok(Some(instance)) = self.api::<GatewayInstance>().get_opt(POD).await {
                let status = instance.status.unwrap_or_default();
                if wanted(&status) {
                    return status;
                }
                last = Some(status);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!(
            "no report with {what}; the last is {last:#?}; see {}",
            self.logs()
        );
    }

    fn logs(&self) -> String {
        let tail = |agent: &Agent| {
            let text = std::fs::read_to_string(&agent.log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        self.agents
            .iter()
            .map(tail)
            .collect::<Vec<_>>()
            .join("\n----\n")
    }

    /// Applied is this generation, and active.
    pub async fn active_at(&self, generation: i64) -> GatewayInstanceStatus {
        self.report(&format!("generation {generation} and active"), |status| {
            status.active.is_some()
                && status
                    .applied
                    .as_ref()
                    .is_some_and(|a| a.generation == generation)
        })
        .await
    }

    pub async fn delete_pod(&self) {
        self.api::<Pod>()
            .delete(POD, &DeleteParams::default())
            .await
            .unwrap();
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

/// An EIP and a FIP in each family for each number, as entry lines.
pub fn eips(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers
        .into_iter()
        .flat_map(|n| {
            let (high, low, six) = (n / 250, n % 250 + 1, n + 1);
            [
                format!("addr eip-{n} 1 10.155.{high}.{low} external"),
                format!("addr eip-{n} 1 2001:db8:1::{six:x} external"),
                format!("fip fip-{n} 1 10.155.{high}.{low} 10.244.{high}.{low} both"),
                format!("fip fip-{n} 1 2001:db8:1::{six:x} fd00:10:244::{six:x} both"),
            ]
        })
        .collect()
}

/// A config of these lines.
pub fn config(lines: &[String]) -> Config {
    let settings = ConfigSettings::new(
        ConfigLan {
            interface: "lan0".to_owned(),
            addresses: vec!["10.244.0.254/16".to_owned()],
            routes: Vec::new(),
        },
        vec![ConfigUplink {
            name: "external".to_owned(),
            interface: "eth1".to_owned(),
            subnets: vec![ConfigSubnet {
                cidr: "10.155.0.0/16".to_owned(),
                gateway: Some("10.155.255.254".to_owned()),
            }],
            ipv4: None,
            ipv6: None,
        }],
    );
    let gateway = OwnerGateway {
        name: "egress".to_owned(),
        uid: "gateway-uid".to_owned(),
    };
    compile(
        &gateway,
        settings,
        lines.iter().map(|line| {
            let entry: Entry = line.parse().unwrap();
            let rank = Rank {
                created_secs: 0,
                uid: Uid::new(entry.uid.as_str()),
            };
            (rank, entry)
        }),
    )
}
