//! Gateway addresses in a NetworkAttachmentDefinition: those that its IPAM
//! tells the inside network's pods to use.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;
use sluice_core::identity::Uid;
use sluice_core::operator::event::{AttachmentFacts, Key};

#[cfg(test)]
mod tests;

/// Reads a NetworkAttachmentDefinition and its `spec.config`.
#[must_use]
pub fn facts(key: Key, uid: Uid, object: &Value) -> AttachmentFacts {
    let text = |pointer| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let config = text("/spec/config");
    let (gateways, error) = match gateways(config) {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    AttachmentFacts {
        key,
        uid,
        resource_version: text("/metadata/resourceVersion").to_owned(),
        gateways,
        error,
    }
}

/// At most one per family, IPv4 first, each with its subnet's prefix length.
fn gateways(config: &str) -> Result<Vec<String>, String> {
    if config.trim().is_empty() {
        // Multus then takes a file of that name on each node, which nobody here can read.
        return Err(
            "spec.config is empty: the configuration lies on the nodes; set lan.addresses instead"
                .into(),
        );
    }
    let config: Value = serde_json::from_str(config)
        .map_err(|error| format!("spec.config is not JSON: {error}"))?;
    let plugins: Vec<&Value> = match config.get("plugins") {
        Some(Value::Array(plugins)) => plugins.iter().collect(),
        _ => vec![&config],
    };
    let mut found: Vec<IpNet> = Vec::new();
    for ipam in plugins.into_iter().filter_map(|plugin| plugin.get("ipam")) {
        collect(ipam, &mut found)?;
    }
    let first = |v4: bool| {
        found
            .iter()
            .find(|net| net.addr().is_ipv4() == v4)
            .map(ToString::to_string)
    };
    Ok([first(true), first(false)].into_iter().flatten().collect())
}

/// One IPAM section, whatever its plugin: ranges, one range, static addresses.
fn collect(ipam: &Value, found: &mut Vec<IpNet>) -> Result<(), String> {
    let host_local = ipam.get("type").and_then(Value::as_str) == Some("host-local");
    // host-local: "ranges": [[{range}, …], …]; whereabouts: "ipRanges": [{range}, …].
    let sets = ipam
        .get("ranges")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let flat = ipam
        .get("ipRanges")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for range in sets
        .filter_map(Value::as_array)
        .flatten()
        .chain(flat)
        .chain([ipam])
    {
        collect_range(range, host_local, found)?;
    }
    for entry in ipam
        .get("addresses")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let (Some(address), Some(gateway)) = (text(entry, "address"), text(entry, "gateway"))
        else {
            continue;
        };
        found.push(with_length(gateway, prefix(address)?)?);
    }
    Ok(())
}

fn collect_range(range: &Value, host_local: bool, found: &mut Vec<IpNet>) -> Result<(), String> {
    // whereabouts calls the subnet "range", possibly with a first address before a dash.
    let Some(subnet) = text(range, "subnet").or_else(|| text(range, "range")) else {
        return Ok(());
    };
    let subnet = prefix(subnet.rsplit('-').next().unwrap_or(subnet))?;
    match text(range, "gateway") {
        Some(gateway) => found.push(with_length(gateway, subnet)?),
        // host-local: the first address of the subnet, when none is named.
        None if host_local => {
            let first = match subnet.network() {
                IpAddr::V4(ip) => u32::from(ip).checked_add(1).map(|n| IpAddr::V4(n.into())),
                IpAddr::V6(ip) => u128::from(ip).checked_add(1).map(|n| IpAddr::V6(n.into())),
            };
            if let Some(net) = first.and_then(|first| IpNet::new(first, subnet.prefix_len()).ok()) {
                found.push(net);
            }
        }
        None => {}
    }
    Ok(())
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value
        .get(field)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn prefix(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|_| {
        format!("spec.config: ipam names {text:?}, which is no prefix such as 10.0.0.0/16")
    })
}

fn with_length(gateway: &str, subnet: IpNet) -> Result<IpNet, String> {
    let address: IpAddr = gateway
        .parse()
        .map_err(|_| format!("spec.config: ipam gateway {gateway:?} is no IP address"))?;
    if !subnet.contains(&address) {
        return Err(format!(
            "spec.config: ipam gateway {address} does not lie in {}",
            subnet.trunc()
        ));
    }
    IpNet::new(address, subnet.prefix_len()).map_err(|error| format!("spec.config: {error}"))
}
