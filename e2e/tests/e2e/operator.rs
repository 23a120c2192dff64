//! Killing the operator, and knowing when it leads again.

use rustix::process::Signal;
use sluice_e2e::Host;
use sluice_e2e::evidence::Mark;

use crate::failure::{Outcome, wrong};
use crate::stage::{Stage, text};

/// The operator's namespace.
pub const NAMESPACE: &str = "sluice-system";

impl Stage {
    /// Kills the operator's process as a crash would.
    pub fn kill_operator(&self) -> Outcome {
        self.history.mark(Mark::OperatorOut);
        let mut killed = 0;
        for pod in self.list("Pod", NAMESPACE, "")? {
            let host = Host::pod(NAMESPACE, &text(&pod, "/metadata/name"));
            // A pod without a process is one that is just being replaced.
            killed += self.lab.signal(&host, Signal::KILL).unwrap_or(0);
        }
        if killed == 0 {
            wrong("no operator process ran to be killed")
        } else {
            Ok(())
        }
    }

    /// Waits until the operator's Lease is renewed by a process that started
    /// after `since_us`, and notes that it can write again.
    pub fn wait_operator(&self, since_us: u64, secs: f64) -> Outcome {
        let old = self.operator_lease();
        let led = self.wait_for("a leading operator", secs, || {
            let now = self.operator_lease();
            if now != old && !now.is_empty() && self.history.now_us() > since_us + 300_000 {
                Ok(())
            } else {
                Err(format!("its Lease shows {now:?}"))
            }
        });
        self.history.mark(Mark::OperatorBack);
        led
    }

    /// Who leads among the operators, and when that was renewed; empty when nobody does.
    pub fn operator_lease(&self) -> String {
        let leases = self.history.live_of("Lease");
        let own = leases
            .iter()
            .find(|lease| text(lease, "/metadata/namespace") == NAMESPACE);
        let holder = own.map(|lease| text(lease, "/spec/holderIdentity"));
        match (own, holder) {
            (Some(lease), Some(holder)) if !holder.is_empty() => {
                holder + " " + &text(lease, "/spec/renewTime")
            }
            _ => String::new(),
        }
    }
}
