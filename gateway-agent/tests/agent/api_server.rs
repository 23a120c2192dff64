//! etcd and kube-apiserver on loopback ports, in a directory that goes with them.

use std::cell::RefCell;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A control plane without controllers.
pub struct ApiServer {
    pub dir: PathBuf,
    pub kubeconfig: PathBuf,
    ports: [u16; 3],
    etcd: Child,
    api: RefCell<Option<Child>>,
}

impl ApiServer {
    /// Starts both and installs the kinds.
    pub fn start() -> Self {
        let dir = std::env::temp_dir().join(format!("sluice-agent-test-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        // Held together, so that no port is given twice.
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners.map(|l| l.local_addr().unwrap().port());
        ssl(
            &dir,
            &[
                "ecparam",
                "-genkey",
                "-name",
                "prime256v1",
                "-noout",
                "-out",
                "sa.key",
            ],
        );
        ssl(&dir, &["ec", "-in", "sa.key", "-pubout", "-out", "sa.pub"]);
        fs::write(
            dir.join("tokens.csv"),
            "admin-token,admin,admin,system:masters\n",
        )
        .unwrap();
        let kubeconfig = dir.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_text(ports[2], "admin-token")).unwrap();
        let etcd = component(
            &dir,
            "etcd",
            &[
                format!("--listen-client-urls=http://127.0.0.1:{}", ports[0]),
                format!("--advertise-client-urls=http://127.0.0.1:{}", ports[0]),
                format!("--listen-peer-urls=http://127.0.0.1:{}", ports[1]),
                format!(
                    "--initial-advertise-peer-urls=http://127.0.0.1:{}",
                    ports[1]
                ),
                format!("--initial-cluster=default=http://127.0.0.1:{}", ports[1]),
                format!("--data-dir={}", dir.join("etcd").display()),
                "--unsafe-no-fsync".to_owned(),
                "--log-level=warn".to_owned(),
            ],
        );
        let server = Self {
            dir,
            kubeconfig,
            ports,
            etcd,
            api: RefCell::new(None),
        };
        server.up();
        let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crds");
        server.kubectl(&["apply", "--server-side", "-f", crds]);
        server.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ]);
        server
    }

    /// Starts the API server and waits until it is ready.
    pub fn up(&self) {
        let api = component(
            &self.dir,
            "kube-apiserver",
            &[
                format!("--etcd-servers=http://127.0.0.1:{}", self.ports[0]),
                "--bind-address=127.0.0.1".to_owned(),
                "--advertise-address=127.0.0.1".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
                format!("--secure-port={}", self.ports[2]),
                format!("--cert-dir={}", self.dir.join("certs").display()),
                "--token-auth-file=tokens.csv".to_owned(),
                "--authorization-mode=RBAC".to_owned(),
                "--service-account-key-file=sa.pub".to_owned(),
                "--service-account-signing-key-file=sa.key".to_owned(),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
                // No controller makes service accounts here.
                "--disable-admission-plugins=ServiceAccount".to_owned(),
                "--profiling=false".to_owned(),
            ],
        );
        *self.api.borrow_mut() = Some(api);
        let begun = Instant::now();
        while !self.try_kubectl(&["get", "--raw", "/readyz"]) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "the API server is not ready: see {}",
                self.dir.display()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Kills the API server; etcd keeps what there is.
    pub fn down(&self) {
        if let Some(mut api) = self.api.borrow_mut().take() {
            let _ = (api.kill(), api.wait());
        }
    }

    /// A kubeconfig with this token, in a file.
    pub fn kubeconfig_with(&self, name: &str, token: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, kubeconfig_text(self.ports[2], token)).unwrap();
        path
    }

    fn kubectl(&self, args: &[&str]) {
        assert!(self.try_kubectl(args), "kubectl {args:?} failed");
    }

    fn try_kubectl(&self, args: &[&str]) -> bool {
        Command::new(program())
            .arg("kubectl")
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.down();
        let _ = (self.etcd.kill(), self.etcd.wait());
        if std::env::var_os("KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn program() -> PathBuf {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/lab-bin/controlplane"
    ));
    let path = std::env::var_os("CONTROLPLANE").map_or(path, PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing: run `make setup`",
        path.display()
    );
    path
}

fn component(dir: &Path, name: &str, args: &[String]) -> Child {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join(format!("{name}.log")))
        .unwrap();
    Command::new(program())
        .arg(name)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn ssl(dir: &Path, args: &[&str]) {
    let done = Command::new("openssl")
        .current_dir(dir)
        .args(args)
        .output()
        .unwrap();
    assert!(done.status.success(), "openssl {args:?}");
}

fn kubeconfig_text(port: u16, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters:\n- name: test\n  cluster: {{server: \"https://127.0.0.1:{port}\", insecure-skip-tls-verify: true}}\n\
         users:\n- name: test\n  user: {{token: {token}}}\n\
         contexts:\n- name: test\n  context: {{cluster: test, user: test}}\n"
    )
}
