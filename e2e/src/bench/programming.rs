//! Kernel programming: FIPs into an empty gateway, ours against iptables.

use std::time::Instant;

use sluice_gateway_agent::kernel::{Kernel, KernelOptions};

use super::gateway::{Place, Row, failed, revision, script_addresses, script_rules, snapshot};
use super::report::{Figure, Report};
use crate::error::{LabError, Result};

const RUNS: usize = 5;
/// One `iptables` call per rule is measured with this many FIPs only: its cost
/// per rule grows with the rules that are there.
const ONE_BY_ONE: usize = 1_000;

/// Measures 1,000 and 10,000 FIPs, rules and addresses.
///
/// # Errors
/// When a namespace, the kernel or iptables refuses.
pub fn measure(report: &mut Report) -> Result<()> {
    for (n, name) in [(1_000, "1k"), (10_000, "10k")] {
        println!("bench: programming {name} FIPs, {RUNS} runs each way");
        let ours = samples(|| sluice(n))?;
        let restore = samples(|| iptables_restore(n))?;
        report.add(
            Figure::new(
                &format!("program_{name}_ms"),
                "ms",
                &ours,
                "FIPs (address and rules, verified) into an empty gateway",
            )
            .beside("iptables-restore + ip -batch", &restore),
        );
    }
    println!("bench: programming 1k FIPs with one iptables call per rule");
    let ours = samples(|| sluice(ONE_BY_ONE))?;
    let calls = [iptables_calls(ONE_BY_ONE)?];
    report.add(
        Figure::new(
            "program_1k_vs_calls_ms",
            "ms",
            &ours,
            "the same against one process per rule and address",
        )
        .beside("iptables and ip, a call each", &calls),
    );
    report.add(one_more()?);
    Ok(())
}

fn samples(mut one: impl FnMut() -> Result<f64>) -> Result<Vec<f64>> {
    (0..RUNS).map(|_| one()).collect()
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn sluice(n: usize) -> Result<f64> {
    let row = Row::new()?;
    let snapshot = snapshot(n);
    row.within(Place::Gateway, || {
        let mut kernel = Kernel::open(KernelOptions::default()).map_err(|e| failed("open", &e))?;
        kernel.guard().map_err(|e| failed("guard", &e))?;
        let start = Instant::now();
        let applied = kernel
            .apply(&snapshot, &revision(1), true)
            .map_err(|e| failed("apply", &e))?;
        let took = ms(start);
        match applied.rejected.first() {
            Some(r) => Err(LabError::Content(format!(
                "the kernel refused {}: {}",
                r.key, r.error
            ))),
            None => Ok(took),
        }
    })
}

fn one_more() -> Result<Figure> {
    let row = Row::new()?;
    let took = row.within(Place::Gateway, || {
        let mut kernel = Kernel::open(KernelOptions::default()).map_err(|e| failed("open", &e))?;
        kernel.guard().map_err(|e| failed("guard", &e))?;
        kernel
            .apply(&snapshot(10_000), &revision(1), true)
            .map_err(|e| failed("apply", &e))?;
        (1..=20)
            .map(|k| {
                let more = snapshot(10_000 + k);
                let start = Instant::now();
                kernel
                    .apply(&more, &revision(1 + k as i64), true)
                    .map_err(|e| failed("apply one more", &e))?;
                Ok(ms(start))
            })
            .collect::<Result<Vec<f64>>>()
    })?;
    Ok(Figure::new(
        "program_one_at_10k_ms",
        "ms",
        &took,
        "one more FIP beside 10,000, snapshot compared and verified",
    ))
}

fn iptables_restore(n: usize) -> Result<f64> {
    let row = Row::new()?;
    let (addresses, rules) = (script_addresses(n), script_rules(n));
    let start = Instant::now();
    row.feed(Place::Gateway, "ip", "-batch -", &addresses)?;
    row.feed(Place::Gateway, "iptables-restore", "", &rules)?;
    Ok(ms(start))
}

fn iptables_calls(n: usize) -> Result<f64> {
    let row = Row::new()?;
    let (addresses, rules) = (script_addresses(n), script_rules(n));
    let start = Instant::now();
    for line in addresses.lines() {
        row.ip(Place::Gateway, line)?;
    }
    for line in rules.lines().filter(|l| l.starts_with("-A")) {
        row.run(Place::Gateway, "iptables", &format!("-t nat {line}"))?;
    }
    Ok(ms(start))
}
