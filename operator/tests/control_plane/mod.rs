//! A real etcd and kube-apiserver on loopback, for one test. Both end with it,
//! also when it fails.

#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code; not every test uses every part"
)]

pub mod agent;
pub mod objects;
pub mod program;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

/// User that the operator's manifests bind rights to.
pub const OPERATOR: &str = "system:serviceaccount:sluice-system:sluice-operator";

pub struct ControlPlane {
    dir: PathBuf,
    port: u16,
    etcd_port: u16,
    processes: Vec<Child>,
}

const AUDIT: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n  verbs: [create, update, patch, delete]\n- level: None\n";

impl ControlPlane {
    /// Starts both and applies the CRDs and the operator's own objects.
    pub async fn start(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sluice-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let ports = free_ports();
        let mut plane = Self {
            dir,
            port: ports[0],
            etcd_port: ports[1],
            processes: Vec::new(),
        };
        plane.write_files();
        let (client, peer) = (
            format!("http://127.0.0.1:{}", ports[1]),
            format!("http://127.0.0.1:{}", ports[2]),
        );
        plane.spawn(
            "etcd",
            &[
                "--data-dir=etcd".into(),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=default={peer}"),
                "--unsafe-no-fsync".into(),
                "--log-level=warn".into(),
            ],
        );
        plane.start_api_server();
        plane.wait_ready().await;
        for below in ["deploy/crds", "deploy/operator"] {
            plane.kubectl(&["apply", "-f", repo().join(below).to_str().unwrap()]);
        }
        plane.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ]);
        plane
    }

    pub fn start_api_server(&mut self) {
        let args = [
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            "--cert-dir=certs".into(),
            "--service-account-key-file=sa.key".into(),
            "--service-account-signing-key-file=sa.key".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            "--service-cluster-ip-range=10.96.0.0/16".into(),
            "--authorization-mode=RBAC".into(),
            "--token-auth-file=tokens.csv".into(),
            // Nobody makes default service accounts here.
            "--disable-admission-plugins=ServiceAccount".into(),
            "--audit-policy-file=audit.yaml".into(),
            "--audit-log-path=audit.log".into(),
            "--endpoint-reconciler-type=none".into(),
        ];
        self.spawn("kube-apiserver", &args);
    }

    /// Starts these controllers, by their names, and no others.
    pub fn start_controllers(&mut self, names: &[&str]) {
        let kubeconfig = self.kubeconfig("admin");
        let args = [
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--controllers={}", names.join(",")),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
        ];
        self.spawn("kube-controller-manager", &args);
    }

    pub async fn wait_ready(&self) {
        let client = self.client("admin").await;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
            if client.request_text(request).await.is_ok() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the API server is not ready:\n{}",
                self.log("kube-apiserver")
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn write_files(&self) {
        fs::write(self.dir.join("audit.yaml"), AUDIT).unwrap();
        let tokens = format!(
            "admin,admin,admin,system:masters\noperator,{OPERATOR},operator,\"system:serviceaccounts,system:serviceaccounts:sluice-system\"\n"
        );
        fs::write(self.dir.join("tokens.csv"), tokens).unwrap();
        let made = Command::new("openssl")
            .args([
                "ecparam",
                "-genkey",
                "-name",
                "prime256v1",
                "-noout",
                "-out",
                "sa.key",
            ])
            .current_dir(&self.dir)
            .status()
            .unwrap();
        assert!(made.success());
        for user in ["admin", "operator"] {
            fs::write(self.kubeconfig(user), self.kubeconfig_text(user)).unwrap();
        }
    }

    pub fn kubeconfig_text(&self, token: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: 'https://127.0.0.1:{}', insecure-skip-tls-verify: true}}\nusers:\n- name: c\n  user: {{token: {token}}}\ncontexts:\n- name: c\n  context: {{cluster: c, user: c}}\n",
            self.port
        )
    }

    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir.join(format!("{user}.kubeconfig"))
    }

    /// A client with a token, without retries.
    pub async fn client(&self, token: &str) -> Client {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig_text(token)).unwrap();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }

    fn spawn(&mut self, program: &str, args: &[String]) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join(format!("{program}.log")))
            .unwrap();
        let child = Command::new(binary())
            .arg(program)
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.processes.push(child);
    }

    /// Kills the API server; etcd stays.
    pub fn stop_api_server(&mut self) {
        let mut server = self.processes.pop().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    fn log(&self, program: &str) -> String {
        let text = fs::read_to_string(self.dir.join(format!("{program}.log"))).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Runs kubectl as administrator; panics when it fails.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let (ok, text) = self.try_kubectl(args);
        assert!(ok, "kubectl {args:?}: {text}");
        text
    }

    pub fn try_kubectl(&self, args: &[&str]) -> (bool, String) {
        let output = Command::new(binary())
            .arg("kubectl")
            .args(args)
            .current_dir(repo())
            .env("KUBECONFIG", self.kubeconfig("admin"))
            .env("HOME", &self.dir)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// Runs commands by a shell that has our kubectl, in this cluster's folder.
    pub fn shell(&self, commands: &str) -> (bool, String) {
        let kubectl = format!("kubectl() {{ {} kubectl \"$@\"; }}", binary().display());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &format!("{kubectl}\n{commands}")])
            .current_dir(&self.dir)
            .env("KUBECONFIG", self.kubeconfig("admin"))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        (output.status.success(), text)
    }

    /// Applies YAML.
    pub fn apply(&self, yaml: &str) {
        let path = self.write("apply.yaml", yaml);
        self.kubectl(&["apply", "-f", &path]);
    }

    /// Writes a file that lasts as long as this; its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// An object as JSON, if it exists.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let (ok, text) = self.try_kubectl(&["get", resource, "-n", namespace, name, "-o", "json"]);
        ok.then(|| serde_json::from_str(&text).unwrap())
    }

    /// Writes of a user so far, as `verb resource namespace/name code`.
    pub fn writes(&self, user: &str) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("audit.log")).unwrap_or_default();
        let records = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records
            .filter(|record| record["user"]["username"] == user)
            .map(|record| {
                let part = |path: &str| {
                    record
                        .pointer(path)
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                        .to_owned()
                };
                format!(
                    "{} {} {} {}/{} {}",
                    part("/verb"),
                    part("/objectRef/resource"),
                    part("/objectRef/subresource"),
                    part("/objectRef/namespace"),
                    part("/objectRef/name"),
                    record["responseStatus"]["code"]
                )
            })
            .collect()
    }

    /// Waits until `check` gives something.
    pub async fn wait<T>(&self, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(found) = check() {
                return found;
            }
            assert!(Instant::now() < deadline, "waited 30 s for {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // The API server first: without etcd it does not end by itself.
        for mut process in self.processes.drain(..).rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The repository.
pub fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// etcd, kube-apiserver and kubectl in one binary, built from pinned modules.
fn binary() -> PathBuf {
    let path = match std::env::var_os("SLUICE_CONTROLPLANE") {
        Some(path) => PathBuf::from(path),
        None => repo().join("target/lab-bin/controlplane"),
    };
    path.canonicalize()
        .unwrap_or_else(|_| panic!("{} is missing: run `make setup` first", path.display()))
}

fn free_ports() -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect()
}
