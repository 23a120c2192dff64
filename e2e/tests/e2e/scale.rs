//! Many objects at once: nothing is wrong, and all become Ready. How fast is a
//! matter of the benchmarks.

use std::fmt::Write as _;

use futures::stream::{self, StreamExt as _};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_e2e::evidence::Harm;

use crate::failure::{Outcome, demand};
use crate::gateway::{GATEWAY, NS, eip, fip, gateway, pool, tenant};
use crate::objects::api;
use crate::runner::Scenario;
use crate::stage::Stage;

pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_thousand_eips_and_fips_by_kubectl_apply_become_ready",
    secs: 600,
    full: true,
    run: thousand,
}];

const COUNT: usize = 1000;
/// Every so many of them are probed.
const EACH: usize = 100;
/// The operator's writers.
const WRITERS: usize = 24;

fn thousand(stage: &mut Stage) -> Outcome {
    stage.demands.few_writes = true;
    let mut wide = pool("external");
    if let Some(subnets) = wide.pointer_mut("/spec/subnets") {
        *subnets = json!([
            {"cidr": "10.156.0.0/20", "gateway": "10.155.30.1", "ranges": ["10.156.1.0-10.156.8.255"]},
            {"cidr": "2001:db8:1::/64", "gateway": "2001:db8:1::1", "ranges": ["2001:db8:1::e:0/112"]},
        ]);
    }
    stage.create(&wide)?;
    stage.create(&gateway(GATEWAY.0, GATEWAY.1, "external"))?;
    stage.wait_seen("NATGateway", GATEWAY.0, GATEWAY.1)?;
    stage.wait_ready(&[("NATGateway", GATEWAY.0, GATEWAY.1)], 30.0)?;
    for host in ["client", "router"] {
        stage.lab.exec(
            &host.parse()?,
            &["ip", "route", "replace", "10.156.0.0/20", "dev", "eth0"],
        )?;
    }
    let mut manifest = String::new();
    for n in 0..COUNT {
        let name = format!("n-{n}");
        let _ = write!(
            manifest,
            "{}\n---\n{}\n---\n",
            eip(NS, &name),
            fip(NS, &name, &name, tenant(n).1)
        );
    }
    let start = std::time::Instant::now();
    stage.kubectl(&["apply", "-f", "-"], Some(&manifest))?;
    let applied = start.elapsed().as_secs_f64();
    wait_ready(stage)?;
    stage.tell(format!(
        "apply {applied:.1} s, all Ready {:.1} s after it",
        start.elapsed().as_secs_f64() - applied
    ));
    for n in (0..COUNT).step_by(EACH) {
        stage.probe("EIP", NS, &format!("n-{n}"))?;
        stage.probe("FIP", NS, &format!("n-{n}"))?;
    }
    stage.probes_pass(10.0)?;
    stage.pause(1.0);

    let rate = writes_per_second(stage)?;
    stage.tell(format!("the API server takes {rate:.0} writes/s"));
    // The bound of a superseded True counts on 500 writes/s, half as many again here.
    let beyond = (2 * COUNT) as f64 * (1.5 / rate - 1.0 / 500.0);
    stage.demands.slack_us = (beyond.max(0.0) * 1e6) as u64;

    let (pod, _) = stage.gateway_pod()?;
    let before = stage.holder();
    stage.fault(Harm::Holder, format!("pod {pod} is deleted"));
    let start = std::time::Instant::now();
    stage.delete("Pod", GATEWAY.0, &pod)?;
    stage.wait("another holder", 60.0, || {
        let now = stage.holder();
        now != before && !now.0.is_empty()
    })?;
    wait_ready(stage)?;
    stage.tell(format!(
        "all Ready {:.1} s after its pod's deletion",
        start.elapsed().as_secs_f64()
    ));
    stage.probes_pass(10.0)?;
    let live = stage.history.live_of("EIP").len();
    demand(live == COUNT, || format!("{live} EIPs, wanted {COUNT}"))
}

/// Writes a second that the API server takes of as many writers as the operator
/// has, of objects like those that it writes.
fn writes_per_second(stage: &Stage) -> Outcome<f64> {
    let eips = api(stage, "EIP", NS)?;
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"e2e.sluice.dev/rate": "1"}}}));
    let start = std::time::Instant::now();
    let writes = stream::iter(0..COUNT / 2).map(|n| {
        let (eips, patch) = (&eips, &patch);
        async move {
            let name = format!("n-{n}");
            eips.patch(&name, &PatchParams::default(), patch).await
        }
    });
    let done: Vec<_> = stage.block(writes.buffer_unordered(WRITERS).collect());
    let took = start.elapsed().as_secs_f64();
    for one in done {
        one?;
    }
    Ok((COUNT / 2) as f64 / took)
}

fn wait_ready(stage: &Stage) -> Outcome {
    stage.wait("sight of all", 30.0, || {
        stage.history.live_of("FIP").len() == COUNT
    })?;
    // Looking at 2,000 objects takes time that the product needs more.
    loop {
        stage.pause(0.2);
        match stage.wait_all_ready(0.0) {
            Ok(()) => return Ok(()),
            Err(failure) if stage.is_late() => return Err(failure),
            Err(_) => {}
        }
    }
}
