//! What operator and agent use with 1,000 pairs, while nothing happens.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt as _};

use super::IDLE;
use super::pods::pids;
use crate::Lab;
use crate::bench::process;
use crate::bench::report::{Figure, Report};
use crate::error::{Doing, Result};
use crate::evidence::watcher::resource;

pub(super) async fn memory(lab: &Lab, client: &Client, report: &mut Report) -> Result<()> {
    for (name, pid) in pids(lab, client).await? {
        report.add(Figure::new(
            &format!("{name}_rss_mib"),
            "MiB",
            &[process::rss_mib(pid)?],
            "resident, with 1,000 EIPs and 1,000 FIPs",
        ));
    }
    Ok(())
}

/// Processor time and writes while nothing happens.
pub(super) async fn at_rest(lab: &Lab, client: &Client, report: &mut Report) -> Result<()> {
    println!("bench: idle for {} s", IDLE.as_secs());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pids = pids(lab, client).await?;
    let before: Vec<f64> = pids
        .iter()
        .map(|(_, pid)| process::cpu_secs(*pid))
        .collect::<Result<_>>()?;
    let versions = resource_versions(client).await?;
    tokio::time::sleep(IDLE).await;
    let later = resource_versions(client).await?;
    let written: Vec<&String> = later
        .iter()
        .filter(|(object, version)| versions.get(*object) != Some(version))
        .map(|(object, _)| object)
        .collect();
    for object in written.iter().take(10) {
        println!("bench: written while idle: {object}");
    }
    report.add(Figure::new(
        "idle_writes",
        "",
        &[written.len() as f64],
        "objects of our kinds written while nothing happens; Leases are renewed",
    ));
    for ((name, pid), before) in pids.iter().zip(before) {
        let percent = (process::cpu_secs(*pid)? - before) / IDLE.as_secs_f64() * 100.0;
        report.add(Figure::new(
            &format!("{name}_idle_cpu_percent"),
            "%",
            &[percent],
            "of one core, with 1,000 EIPs and 1,000 FIPs",
        ));
    }
    Ok(())
}

/// The resourceVersion of every object of our kinds.
async fn resource_versions(client: &Client) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for kind in [
        "NATGateway",
        "EIPPool",
        "EIP",
        "FIP",
        "GatewayConfig",
        "RuleSlice",
        "GatewayInstance",
        "AddressClaim",
    ] {
        let Some(resource) = resource(kind) else {
            continue;
        };
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let list = api
            .list(&ListParams::default())
            .await
            .doing(|| format!("list {kind}"))?;
        for object in list {
            let version = object.resource_version().unwrap_or_default();
            found.insert(format!("{kind} {}", object.name_any()), version);
        }
    }
    Ok(found)
}
