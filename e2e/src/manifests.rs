//! What `up` puts into the cluster: base objects, networks, tenants.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Doing, LabError, Result};
use crate::families::{EXTERNAL, Families, LAN, LAN_GATEWAY, ROUTER, SECOND, SECOND_ROUTER};
use crate::node_config::LAN_PLUGIN;
use crate::options::UpOptions;
use crate::paths::LabPaths;

/// The annotation by which pods ask for attachments.
const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// Namespaces, the kind of attachments, and the rights of Multus.
#[must_use]
pub fn base() -> &'static str {
    include_str!("../manifests/base.yaml")
}

/// The attachments `net/lan`, `net/external` and `net/external2`, as one JSON list.
#[must_use]
pub fn networks(paths: &LabPaths, families: Families) -> String {
    let lan = [
        // Addresses below .1.0 and ::1:0 are for those who ask for one.
        (
            (LAN.0, "10.244.1.1", "10.244.1.250"),
            (LAN.1, "fd00:10:244::1:1", "fd00:10:244::1:ffff"),
        ),
        (
            (LAN.0, "10.244.0.1", "10.244.0.253"),
            (LAN.1, "fd00:10:244::1", "fd00:10:244::fd"),
        ),
    ];
    let external = [(
        (EXTERNAL.0, "10.155.30.100", "10.155.30.199"),
        (EXTERNAL.1, "2001:db8:1::100", "2001:db8:1::1ff"),
    )];
    let second = [(
        (SECOND.0, "10.155.40.100", "10.155.40.199"),
        (SECOND.1, "2001:db8:3::100", "2001:db8:3::1ff"),
    )];
    let items = [
        attachment(paths, families, "lan", "br-lan", &lan, LAN_GATEWAY),
        attachment(paths, families, "external", "br-ext", &external, ROUTER),
        attachment(
            paths,
            families,
            "external2",
            "br-ext2",
            &second,
            SECOND_ROUTER,
        ),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Subnet, first and last address.
type Range<'a> = (&'a str, &'a str, &'a str);

/// One attachment: a port of a bridge that spans all nodes. Interfaces do not
/// forward until somebody says so, because pods are born forwarding.
fn attachment(
    paths: &LabPaths,
    families: Families,
    name: &str,
    bridge: &str,
    ranges: &[(Range<'_>, Range<'_>)],
    gateway: (&str, &str),
) -> Value {
    let set = |ranges: Vec<Range<'_>>, gateway: &str| -> Value {
        let all = ranges.into_iter().map(|(subnet, first, last)| {
            json!({"subnet": subnet, "rangeStart": first, "rangeEnd": last, "gateway": gateway})
        });
        Value::Array(all.collect())
    };
    let mut sets = Vec::new();
    if families.v4() {
        sets.push(set(ranges.iter().map(|both| both.0).collect(), gateway.0));
    }
    if families.v6() {
        sets.push(set(ranges.iter().map(|both| both.1).collect(), gateway.1));
    }
    let mut plugins = vec![
        json!({
            "type": "bridge",
            "bridge": bridge,
            "capabilities": {"ips": true, "mac": true},
            "ipam": {"type": "host-local", "dataDir": paths.ipam(), "ranges": sets},
        }),
        json!({"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.forwarding": "0"}}),
    ];
    if name == "lan" {
        let given = paths.ipam().join(name);
        plugins.push(json!({"type": LAN_PLUGIN, "keep": "sluice-", "given": given}));
    }
    let config = json!({"cniVersion": "1.0.0", "name": name, "plugins": plugins});
    json!({
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"namespace": "net", "name": name},
        "spec": {"config": config.to_string()},
    })
}

/// The tenant pods that fit the lab: those of its nodes, with the addresses of
/// its families.
///
/// # Errors
/// When the manifest is not what this expects.
pub fn tenants(options: &UpOptions) -> Result<String> {
    let text = include_str!("../manifests/tenants.yaml");
    let nodes: Vec<String> = options
        .node_plans()
        .into_iter()
        .map(|plan| plan.name)
        .collect();
    let mut items = Vec::new();
    for document in text.split("\n---\n") {
        let mut object: Value = serde_saphyr::from_str(document)
            .map_err(|error| LabError::Content(format!("manifests/tenants.yaml: {error}")))?;
        let node = object
            .pointer("/spec/nodeSelector/kubernetes.io~1hostname")
            .and_then(Value::as_str);
        if node.is_some_and(|node| !nodes.iter().any(|have| have == node)) {
            continue;
        }
        if let Some(Value::String(networks)) = object.pointer_mut(&format!(
            "/metadata/annotations/{}",
            NETWORKS.replace('/', "~1")
        )) {
            *networks = of_families(networks, options.families)?;
        }
        items.push(object);
    }
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())
}

/// An attachments annotation with the addresses of `families` only.
fn of_families(annotation: &str, families: Families) -> Result<String> {
    let mut networks: Value = serde_json::from_str(annotation).map_err(|error| {
        LabError::Content(format!("manifests/tenants.yaml, {NETWORKS}: {error}"))
    })?;
    for network in networks.as_array_mut().into_iter().flatten() {
        for key in ["/cni-args/ips", "/default-route"] {
            if let Some(list) = network.pointer_mut(key).and_then(Value::as_array_mut) {
                list.retain(|address| {
                    address
                        .as_str()
                        .is_some_and(|address| families.uses(address))
                });
            }
        }
    }
    Ok(networks.to_string())
}

/// All YAML files of a directory below the checkout, in the order of their
/// names, as one stream; `None` when there is none.
///
/// # Errors
/// When a file cannot be read.
pub fn directory(paths: &LabPaths, below: &str) -> Result<Option<String>> {
    let dir = paths.repo.join(below);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .filter(|path| {
            path.file_name()
                .is_none_or(|name| name != "kustomization.yaml")
        })
        .collect();
    files.sort();
    let read = |path: &Path| fs::read_to_string(path).doing(|| format!("read {}", path.display()));
    let texts = files
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>>>()?;
    Ok((!texts.is_empty()).then(|| texts.join("\n---\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_of_one_family_and_one_node_has_tenants_of_that_family_and_node_only() {
        let options = UpOptions {
            nodes: 1,
            families: Families::V6,
            ..UpOptions::default()
        };
        let list = tenants(&options).unwrap();
        assert!(list.contains("fd00:10:244::5/64"), "{list}");
        assert!(!list.contains("10.244.0.5"), "{list}");
        assert!(!list.contains("node-b"), "{list}");
    }

    #[test]
    fn networks_of_both_families_have_one_range_set_each() {
        let paths = LabPaths::new("t").unwrap();
        let list: Value = serde_json::from_str(&networks(&paths, Families::Dual)).unwrap();
        let config = list
            .pointer("/items/0/spec/config")
            .and_then(Value::as_str)
            .unwrap();
        let config: Value = serde_json::from_str(config).unwrap();
        assert_eq!(
            config
                .pointer("/plugins/0/ipam/ranges")
                .unwrap()
                .as_array()
                .unwrap()
                .len(),
            2
        );
        assert_eq!(
            config
                .pointer("/plugins/0/ipam/ranges/0/0/gateway")
                .unwrap(),
            "10.244.0.254"
        );
    }
}
