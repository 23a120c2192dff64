//! Programs that a node's runtime calls: a container hook and two CNI plugins.

use std::env;
use std::fs;
use std::io::{Read, stdin};
use std::path::Path;
use std::process::Command;

use rustix::mount::mount_bind;
use serde_json::{Value, json};

use crate::error::{Doing, LabError, Result};
use crate::ipam;
use crate::netns;

/// The settings that every pod of the lab is born with.
///
/// A pod's namespace takes its IPv4 settings from the machine's first
/// namespace, so on a machine that forwards, pods are born forwarding. The
/// host of a lab does not forward, so the lab makes the pods so. Duplicate
/// address detection is left out because it would cost each pod a second.
const BORN_WITH: [(&str, &str); 3] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
];

/// The hook `createContainer`: shows `boot_id` in place of the kernel's inside
/// the container whose state is on standard input. It runs in the container's
/// mount namespace, before the root changes.
///
/// # Errors
/// When the state cannot be read or the mount is refused.
pub fn hook_boot_id(boot_id: &Path) -> Result<()> {
    let state = read_json()?;
    let bundle = Path::new(state.get("bundle").and_then(Value::as_str).unwrap_or("/"));
    let config = bundle.join("config.json");
    let text = fs::read_to_string(&config).doing(|| format!("read {}", config.display()))?;
    let spec: Value = serde_json::from_str(&text)
        .map_err(|error| LabError::Content(format!("{}: {error}", config.display())))?;
    let root = spec
        .pointer("/root/path")
        .and_then(Value::as_str)
        .unwrap_or("rootfs");
    // An absolute root replaces the bundle's path.
    let target = bundle.join(root).join("proc/sys/kernel/random/boot_id");
    mount_bind(boot_id, &target).doing(|| format!("mount the boot ID at {}", target.display()))
}

/// The CNI plugin that sets what pods are born with. It is the first of its
/// chain and makes no interface.
///
/// # Errors
/// When the pod's namespace cannot be entered or a setting is refused.
pub fn pod_defaults() -> Result<()> {
    plugin(|_| netns::set_sysctls(&BORN_WITH))
}

/// The CNI plugin at the end of the tenant LAN's chain: takes the default route
/// of the pod network away. Multus 4.3.0 adds the one that a pod asks for but
/// leaves the other, and IPv6 falls back to a route of any metric while the
/// next hop of a better one does not answer: tenants would pass by their
/// gateway. Gateways, whose pods' names begin with `keep` of the plugin's
/// configuration, keep it: theirs is for the API server.
///
/// It also makes the IPAM, whose addresses are in the directory `given`, forget
/// what it gave last: see [`ipam::start_over`].
///
/// # Errors
/// When the pod's namespace cannot be entered or `ip` cannot be run.
pub fn lan_only_default() -> Result<()> {
    plugin(|config| {
        if let Some(given) = config.get("given").and_then(Value::as_str) {
            ipam::start_over(Path::new(given))?;
        }
        let keep = config.get("keep").and_then(Value::as_str).unwrap_or("-");
        let arguments = env::var("CNI_ARGS").unwrap_or_default();
        let pod = arguments
            .split(';')
            .find_map(|argument| argument.strip_prefix("K8S_POD_NAME="));
        if pod.is_some_and(|pod| pod.starts_with(keep)) {
            return Ok(());
        }
        for family in ["-4", "-6"] {
            let mut ip = Command::new("ip");
            ip.args([family, "route", "del", "default", "dev", "eth0"]);
            // A pod of one family has only one of them.
            ip.output().doing(|| "run ip".into())?;
        }
        Ok(())
    })
}

/// Answers the runtime: `work`, given the plugin's configuration, is done in
/// the pod's namespace when an interface is added, and what earlier plugins of
/// the chain made is passed on.
fn plugin(work: impl FnOnce(&Value) -> Result<()> + Send) -> Result<()> {
    let command = env::var("CNI_COMMAND").unwrap_or_default();
    let versions = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];
    match command.as_str() {
        "ADD" => {
            let config = read_json()?;
            let namespace = env::var("CNI_NETNS").unwrap_or_default();
            netns::within(Path::new(&namespace), || work(&config))?;
            let made = config.get("prevResult").cloned().unwrap_or_else(|| {
                let version = config.get("cniVersion").cloned();
                json!({"cniVersion": version.unwrap_or_else(|| json!("1.0.0"))})
            });
            println!("{made}");
        }
        "VERSION" => println!(
            "{}",
            json!({"cniVersion": "1.0.0", "supportedVersions": versions})
        ),
        _ => {}
    }
    Ok(())
}

/// A CNI plugin's way to say that it failed.
#[must_use]
pub fn cni_error(error: &LabError) -> String {
    json!({"cniVersion": "1.0.0", "code": 100, "msg": error.one_line()}).to_string()
}

fn read_json() -> Result<Value> {
    let mut text = String::new();
    stdin()
        .read_to_string(&mut text)
        .doing(|| "read standard input".into())?;
    serde_json::from_str(&text)
        .map_err(|error| LabError::Content(format!("standard input is no JSON: {error}")))
}
