//! The gateway of the packet checks, as objects of the API.

use packet_checks::plan::{Eip, Family, Rule, Setup, rules};
use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::gateway::{GATEWAY, NS, VERSION};
use crate::stage::{Stage, text};

/// Makes the gateway with its EIPs and rules in these families, and waits until all is
/// Ready.
pub fn create(stage: &Stage, families: &[Family], setup: Setup) -> Outcome {
    let uplinks = uplinks(families, setup);
    let pools: Vec<Value> = uplinks.iter().map(pool).collect();
    stage.create_all(&pools)?;
    stage.create(&gateway(&uplinks, families, setup))?;
    let eips: Vec<Value> = Eip::of(setup)
        .iter()
        .map(|one| eip(*one, families))
        .collect();
    let rules: Vec<Value> = rules(setup)
        .iter()
        .map(|one| rule(*one, families))
        .collect();
    stage.create_all(&eips)?;
    stage.create_all(&rules)?;
    stage.wait_seen("NATGateway", GATEWAY.0, GATEWAY.1)?;
    for object in eips.iter().chain(&rules) {
        stage.wait_seen(&text(object, "/kind"), NS, &text(object, "/metadata/name"))?;
    }
    stage.wait_all_ready(60.0)
}

/// An uplink in all its families.
struct Uplink {
    name: &'static str,
    interface: &'static str,
    subnets: Vec<Value>,
}

fn uplinks(families: &[Family], setup: Setup) -> Vec<Uplink> {
    let mut all: Vec<Uplink> = Vec::new();
    for one in families.iter().flat_map(|family| setup.uplinks(*family)) {
        // The EIPs lie where the lab's pools do.
        let net = one.subnet.split('/').next().unwrap_or_default();
        let ranges = match net.strip_suffix(".0") {
            Some(net) => format!("{net}.200-{net}.250"),
            None => format!("{net}e:0/112"),
        };
        let subnet = json!({
            "cidr": one.subnet, "gateway": one.next_hop.to_string(), "ranges": [ranges],
        });
        match all.iter_mut().find(|known| known.name == one.name) {
            Some(known) => known.subnets.push(subnet),
            None => all.push(Uplink {
                name: one.name,
                interface: one.segment.interface(),
                subnets: vec![subnet],
            }),
        }
    }
    all
}

fn pool(uplink: &Uplink) -> Value {
    json!({
        "apiVersion": VERSION, "kind": "EIPPool", "metadata": {"name": uplink.name},
        "spec": {"network": uplink.name, "cooldown": "1s", "subnets": uplink.subnets},
    })
}

fn gateway(uplinks: &[Uplink], families: &[Family], setup: Setup) -> Value {
    let lan: Vec<&str> = families
        .iter()
        .flat_map(|family| setup.lan(*family))
        .copied()
        .collect();
    let uplinks: Vec<Value> = uplinks
        .iter()
        .map(|uplink| {
            let attachment = match uplink.name {
                "external" => "net/external",
                _ => "net/external2",
            };
            json!({
                "name": uplink.name, "pools": [uplink.name],
                "networkAttachment": attachment, "interface": uplink.interface,
            })
        })
        .collect();
    let inside = [
        "10.244.0.0/16",
        "fd00:10:244::/64",
        "10.250.0.0/16",
        "fd00:10:250::/64",
    ];
    json!({
        "apiVersion": VERSION, "kind": "NATGateway",
        "metadata": {"namespace": GATEWAY.0, "name": GATEWAY.1},
        "spec": {
            "uplinks": uplinks,
            "lan": {"networkAttachment": "net/lan", "addresses": lan},
            "allowedNamespaces": {"from": "All"},
            "allowedTargets": [{"namespaces": {"from": "All"}, "cidrs": inside}],
        },
    })
}

/// An object of the usual namespace.
fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": VERSION, "kind": kind, "metadata": {"namespace": NS, "name": name},
        "spec": spec,
    })
}

fn eip(eip: Eip, families: &[Family]) -> Value {
    let names: Vec<&str> = families.iter().map(|family| name(*family)).collect();
    let policy = match families {
        [_] => "SingleStack",
        _ => "RequireDualStack",
    };
    let addresses: Vec<String> = families
        .iter()
        .map(|family| eip.address(*family).to_string())
        .collect();
    let spec = json!({
        "gateway": {"name": GATEWAY.1, "namespace": GATEWAY.0}, "pool": eip.uplink(),
        "ipFamilies": names, "ipFamilyPolicy": policy, "addresses": addresses,
    });
    object("EIP", eip.name(), spec)
}

fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn rule(rule: Rule, families: &[Family]) -> Value {
    let ips = |host: packet_checks::plan::Host| -> Vec<String> {
        let address = |family: &Family| host.address(*family).to_string();
        families.iter().map(address).collect()
    };
    match rule {
        Rule::Fip(eip, host) => {
            let spec = json!({"eip": {"name": eip.name()}, "target": {"ips": ips(host)}});
            object("FIP", eip.name(), spec)
        }
        Rule::Dnat(name, eip, protocol, outer, host, inner) => {
            // A number is written as one.
            let ports = |text: &str| match text.parse::<u16>() {
                Ok(port) => json!(port),
                Err(_) => json!(text),
            };
            let spec = json!({
                "eip": {"name": eip.name()}, "protocols": [protocol.to_uppercase()],
                "ports": ports(outer), "targets": [{"ips": ips(host)}],
                "targetPorts": ports(inner),
            });
            object("DNAT", name, spec)
        }
        Rule::Snat(name, [v4, v6], eip) => {
            let sources: Vec<&str> = families
                .iter()
                .map(|family| if *family == Family::V4 { v4 } else { v6 })
                .collect();
            let spec = json!({"eips": [{"name": eip.name()}], "sources": sources});
            object("SNAT", name, spec)
        }
    }
}
