//! A gateway pod of the lab under the checks.

use std::time::{Duration, Instant};

use packet_checks::run::Gateway;
use rustix::process::Signal;
use sluice_e2e::{Host, Lab};

use crate::failure::{Failure, Outcome};
use crate::stage::Stage;

/// What an agent mends, as text.
const SHOW: &str = "nft list ruleset; for f in -4 -6; do ip $f rule; \
    for t in 90 101 102; do ip $f route show table $t; done; \
    ip $f route show table local proto 115; done; \
    for d in eth1 eth2; do ip -6 neigh show proxy dev $d 2>/dev/null; done; true";
/// The word in it by which a gateway says that it holds its addresses.
const HOLDS: &str = "\"holder\"";
/// Links that are down: what is on them cannot be mended.
const DOWN: &str = "ip -o link show | grep -E ' (eth1|eth2|lan0)@' | grep -v ',UP' || true";
/// How long an agent may take to mend.
const PATIENCE: Duration = Duration::from_secs(15);
/// After a change, before it is said to be seen: the agent looks every second.
const SEEN: Duration = Duration::from_millis(1_500);
/// Each check has its errors, however many there were before.
const UNLIMITED: &str = "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit; \
    echo 0 > /proc/sys/net/ipv6/icmp/ratelimit";

/// The gateway's pod.
pub struct UnderTest<'a> {
    lab: &'a Lab,
    pod: Host,
    whole: Vec<String>,
    frozen: bool,
}

impl<'a> UnderTest<'a> {
    /// The usual gateway's pod as it is now, which is as it should be.
    pub fn new(stage: &'a Stage) -> Outcome<Self> {
        let mut gateway = Self {
            lab: &stage.lab,
            pod: stage.gateway_host()?,
            whole: Vec::new(),
            frozen: false,
        };
        gateway.damage(UNLIMITED)?;
        // The Trues of the pod before it may stand for a moment, until this one holds.
        let until = Instant::now() + PATIENCE;
        loop {
            gateway.whole = gateway.shown().map_err(Failure::Wrong)?;
            let holds = gateway.whole.iter().any(|word| word == HOLDS);
            if holds || Instant::now() > until {
                return Ok(gateway);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the agent.
    pub fn freeze(&mut self) -> Outcome {
        self.lab.signal(&self.pod, Signal::STOP)?;
        self.frozen = true;
        Ok(())
    }

    /// Lets the agent go on, and waits until it has mended all.
    pub fn thaw(&mut self) -> Outcome {
        self.lab.signal(&self.pod, Signal::CONT)?;
        self.frozen = false;
        self.wait().map_err(Failure::Wrong)
    }

    /// Runs a script in the pod's network namespace.
    pub fn damage(&mut self, script: &str) -> Outcome {
        self.script(script).map(drop).map_err(Failure::Wrong)
    }

    /// The words of what the agent mends; sets are listed in any order.
    fn shown(&mut self) -> Result<Vec<String>, String> {
        let text = self.script(SHOW)?;
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        let mut words: Vec<String> = words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        words.sort();
        Ok(words)
    }

    fn wait(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown()?;
            if shown == self.whole {
                return Ok(());
            }
            if Instant::now() > until {
                let lacks: Vec<_> = self.whole.iter().filter(|w| !shown.contains(w)).collect();
                let more: Vec<_> = shown.iter().filter(|w| !self.whole.contains(w)).collect();
                return Err(format!("not mended: it lacks {lacks:?} and has {more:?}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Gateway for UnderTest<'_> {
    fn script(&mut self, script: &str) -> Result<String, String> {
        let output = self
            .lab
            .exec(&self.pod, &["sh", "-c", script])
            .map_err(|error| error.one_line())?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{script}: {printed}{said}"))
    }

    fn mended(&mut self) -> Result<(), String> {
        if self.frozen {
            return Ok(());
        }
        std::thread::sleep(SEEN);
        if self.script(DOWN)?.is_empty() {
            self.wait()?;
        }
        Ok(())
    }
}

impl Drop for UnderTest<'_> {
    fn drop(&mut self) {
        if self.frozen {
            let _ = self.lab.signal(&self.pod, Signal::CONT);
        }
    }
}
