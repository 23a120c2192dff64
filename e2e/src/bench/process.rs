//! What processes use, from `/proc` (proc(5)).

use std::fs;
use std::time::{Duration, Instant};

use crate::error::{Doing, LabError, Result};

/// Ticks per second of `/proc/PID/stat`: USER_HZ, 100 on every Linux port we build for.
const USER_HZ: f64 = 100.0;

/// Whether the process is one of ours.
#[must_use]
pub fn runs_sluice(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|c| c.starts_with(b"/sluice-"))
}

/// Resident memory, MiB.
///
/// # Errors
/// When the process is gone.
pub fn rss_mib(pid: i32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).doing(|| format!("read {path}"))?;
    text.lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok())
        .map(|kib| kib / 1024.0)
        .ok_or_else(|| LabError::Content(format!("{path} has no VmRSS")))
}

/// Processor time used so far, seconds.
///
/// # Errors
/// When the process is gone.
pub fn cpu_secs(pid: i32) -> Result<f64> {
    Ok((field(pid, 14)? + field(pid, 15)?) / USER_HZ)
}

/// When the process started, 10 ms exact.
///
/// # Errors
/// When the process is gone.
pub fn started(pid: i32) -> Result<Instant> {
    let ticks = field(pid, 22)?;
    let uptime = fs::read_to_string("/proc/uptime").doing(|| "read /proc/uptime".into())?;
    let uptime: f64 = uptime
        .split(' ')
        .next()
        .and_then(|t| t.parse().ok())
        .unwrap_or(0.0);
    let age = Duration::from_secs_f64((uptime - ticks / USER_HZ).max(0.0));
    Instant::now()
        .checked_sub(age)
        .ok_or_else(|| LabError::Content(format!("process {pid} is older than this machine")))
}

/// Field `n` of `/proc/PID/stat`, counted from 1 as in proc(5), 4 and above.
fn field(pid: i32, n: usize) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).doing(|| format!("read {path}"))?;
    text.rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(n - 3)?.parse().ok())
        .ok_or_else(|| LabError::Content(format!("{path} has no field {n}")))
}
