//! The control plane's components and their command lines.

use std::path::Path;

use crate::families::{API, API_PORT, Families, SERVICES};
use crate::options::UpOptions;
use crate::paths::LabPaths;

/// A component of the control plane.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers: Deployments, service accounts, garbage collection.
    ControllerManager,
    /// The scheduler.
    Scheduler,
}

impl Component {
    /// All of them, in starting order.
    pub const ALL: [Self; 4] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
    ];

    /// The program's name.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        }
    }

    /// Its arguments; paths are relative to the control plane's directory,
    /// where it runs.
    #[must_use]
    pub fn arguments(self, paths: &LabPaths, options: &UpOptions) -> Vec<String> {
        match self {
            Self::Etcd => etcd(&paths.control_plane()),
            Self::ApiServer => api_server(options),
            Self::ControllerManager => controller_manager(options),
            Self::Scheduler => strings(&[
                "--kubeconfig=scheduler.kubeconfig",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
            ]),
        }
    }
}

fn etcd(dir: &Path) -> Vec<String> {
    let mut args = strings(&[
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        // A lab that crashes is thrown away, so nothing need reach the disk.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]);
    args.push(format!("--data-dir={}", dir.join("etcd").display()));
    args
}

fn api_server(options: &UpOptions) -> Vec<String> {
    let mut args = strings(&[
        "--etcd-servers=http://127.0.0.1:2379",
        "--tls-cert-file=apiserver.crt",
        "--tls-private-key-file=apiserver.key",
        "--client-ca-file=ca.crt",
        "--kubelet-client-certificate=kubelet-client.crt",
        "--kubelet-client-key=kubelet-client.key",
        "--kubelet-certificate-authority=ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-key-file=sa.pub",
        "--service-account-signing-key-file=sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--token-auth-file=tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
    ]);
    args.push(format!("--secure-port={API_PORT}"));
    args.push(format!(
        "--advertise-address={}",
        primary(options.families, API)
    ));
    args.push(format!(
        "--bind-address={}",
        if options.families.v6() {
            "::"
        } else {
            "0.0.0.0"
        }
    ));
    args.push(format!(
        "--service-cluster-ip-range={}",
        options.families.list(SERVICES.0, SERVICES.1)
    ));
    if options.fast_node_timers {
        args.push("--default-unreachable-toleration-seconds=3".into());
        args.push("--default-not-ready-toleration-seconds=3".into());
    }
    args
}

fn controller_manager(options: &UpOptions) -> Vec<String> {
    let mut args = strings(&[
        "--kubeconfig=kcm.kubeconfig",
        "--service-account-private-key-file=sa.key",
        "--root-ca-file=ca.crt",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--allocate-node-cidrs=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]);
    args.push(format!(
        "--service-cluster-ip-range={}",
        options.families.list(SERVICES.0, SERVICES.1)
    ));
    if options.fast_node_timers {
        args.push("--node-monitor-period=1s".into());
        args.push("--node-monitor-grace-period=5s".into());
    }
    args
}

/// Of a pair, the one of the primary family.
fn primary<'a>(families: Families, pair: (&'a str, &'a str)) -> &'a str {
    if families.v4() { pair.0 } else { pair.1 }
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}
