//! Recording a host's packets to a file.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Doing, LabError, Result};
use crate::host::Host;
use crate::lab::Lab;

/// Records the packets of `host` to `file` (pcap) with `tcpdump`: of one
/// interface or of `any`, those that `filter` selects, for `length`.
///
/// # Errors
/// When the host is not there, or `tcpdump` ends before its time.
pub fn run(
    lab: &Lab,
    host: &Host,
    file: &Path,
    interface: &str,
    filter: &str,
    length: Duration,
) -> Result<()> {
    let mut child = lab.within(host, || {
        Command::new("tcpdump")
            .args(["-i", interface, "-U", "-n", "-Z", "root", "-w"])
            .arg(file)
            .args(filter.split_whitespace())
            .stdin(Stdio::null())
            .spawn()
            .doing(|| "start tcpdump".into())
    })?;
    sleep(length);
    if let Some(status) = child.try_wait().doing(|| "look at tcpdump".into())? {
        return Err(LabError::Content(format!(
            "tcpdump ended early ({status}); it said why above"
        )));
    }
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::INT).doing(|| "stop tcpdump".into())?;
    }
    child.wait().doing(|| "wait for tcpdump".into()).map(drop)
}
