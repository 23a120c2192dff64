//! The operator's program as a child process.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::ControlPlane;

/// The program, killed when dropped.
pub struct Program(Child);

impl Program {
    pub fn start(plane: &ControlPlane) -> Self {
        Self::with(plane, &[])
    }

    /// The same with more flags.
    pub fn with(plane: &ControlPlane, flags: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_sluice-operator"))
            .args([
                "--namespace=sluice-system",
                "--log-format=text",
                "--lease-duration-secs=4",
            ])
            .args(["--metrics-bind=127.0.0.1:0", "--log"])
            .arg(
                std::env::var("SLUICE_LOG")
                    .unwrap_or_else(|_| "info,kube_client::client::tls=error".into()),
            )
            .args(flags)
            .env("KUBECONFIG", plane.kubeconfig("operator"))
            .env_remove("POD_NAME")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end; its exit code.
    pub fn wait(mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
