//! The gateway that most scenarios use, and objects on it.

use serde_json::{Value, json};
use sluice_e2e::Host;

use crate::address::{TENANT_NAMESPACE, TENANTS};
use crate::failure::{Failure, Outcome};
use crate::stage::{Stage, text};

/// Namespace and name of the usual gateway.
pub const GATEWAY: (&str, &str) = ("net", "egress");
/// API version of the user kinds.
pub const VERSION: &str = "sluice.dev/v1alpha1";
/// The namespace of the usual EIPs and rules: that of the tenant pods.
pub const NS: &str = TENANT_NAMESPACE;

/// A pool of 51 IPv4 addresses and many IPv6 ones.
pub fn pool(name: &str) -> Value {
    json!({
        "apiVersion": VERSION, "kind": "EIPPool", "metadata": {"name": name},
        "spec": {
            "cooldown": "1s",
            "subnets": [
                {"cidr": "10.155.30.0/24", "gateway": "10.155.30.1", "ranges": ["10.155.30.200-10.155.30.250"]},
                {"cidr": "2001:db8:1::/64", "gateway": "2001:db8:1::1", "ranges": ["2001:db8:1::e:0/112"]},
            ],
        },
    })
}

/// A gateway between the tenant LAN and the outside, for everyone.
pub fn gateway(namespace: &str, name: &str, pool: &str) -> Value {
    json!({
        "apiVersion": VERSION, "kind": "NATGateway", "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "uplinks": [{"name": "external", "pools": [pool], "networkAttachment": "net/external"}],
            "lan": {"networkAttachment": "net/lan", "addresses": ["10.244.0.254/16", "fd00:10:244::fe/64"]},
            "allowedNamespaces": {"from": "All"},
            "allowedTargets": [{"namespaces": {"from": "All"}, "cidrs": ["10.244.0.0/16", "fd00:10:244::/64"]}],
        },
    })
}

/// A dual-stack EIP on the usual gateway.
pub fn eip(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": VERSION, "kind": "EIP", "metadata": {"namespace": namespace, "name": name},
        "spec": {"gateway": {"name": GATEWAY.1, "namespace": GATEWAY.0}, "ipFamilyPolicy": "RequireDualStack"},
    })
}

/// A FIP from an EIP to inside addresses.
pub fn fip(namespace: &str, name: &str, eip: &str, ips: (&str, &str)) -> Value {
    json!({
        "apiVersion": VERSION, "kind": "FIP", "metadata": {"namespace": namespace, "name": name},
        "spec": {"eip": {"name": eip}, "target": {"ips": [ips.0, ips.1]}},
    })
}

/// A DNAT of TCP ports of an EIP to ports of an inside host.
pub fn dnat(
    namespace: &str,
    name: &str,
    eip: &str,
    ports: Value,
    ips: (&str, &str),
    target: Value,
) -> Value {
    json!({
        "apiVersion": VERSION, "kind": "DNAT", "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "eip": {"name": eip}, "protocols": ["TCP"], "ports": ports,
            "targets": [{"ips": [ips.0, ips.1]}], "targetPorts": target,
        },
    })
}

/// A SNAT of inside prefixes to an EIP.
pub fn snat(namespace: &str, name: &str, eip: &str, sources: &[&str]) -> Value {
    json!({
        "apiVersion": VERSION, "kind": "SNAT", "metadata": {"namespace": namespace, "name": name},
        "spec": {"eips": [{"name": eip}], "sources": sources},
    })
}

/// The tenant that the FIP number `n` points at: by turns.
pub fn tenant(n: usize) -> (&'static str, (&'static str, &'static str)) {
    let [first, ..] = TENANTS;
    TENANTS.get(n % TENANTS.len()).copied().unwrap_or(first)
}

impl Stage {
    /// Makes the usual pool and gateway and waits until the gateway is Ready.
    pub fn with_gateway(&self) -> Outcome {
        self.create(&pool("external"))?;
        self.create(&gateway(GATEWAY.0, GATEWAY.1, "external"))?;
        self.wait_seen("NATGateway", GATEWAY.0, GATEWAY.1)?;
        self.wait_ready(&[("NATGateway", GATEWAY.0, GATEWAY.1)], 30.0)
    }

    /// Makes `count` dual-stack EIPs `eip-N`, each with a FIP `fip-N` to a
    /// tenant, waits until all are Ready and probes them all.
    pub fn with_pairs(&self, count: usize) -> Outcome {
        let eips: Vec<Value> = (0..count).map(|n| eip(NS, &format!("eip-{n}"))).collect();
        let fips: Vec<Value> = (0..count)
            .map(|n| fip(NS, &format!("fip-{n}"), &format!("eip-{n}"), tenant(n).1))
            .collect();
        // A FIP that is seen before its EIP is refused first, rightly.
        self.create_all(&eips)?;
        self.create_all(&fips)?;
        let objects = [eips, fips].concat();
        for object in &objects {
            self.wait_seen(&text(object, "/kind"), NS, &text(object, "/metadata/name"))?;
        }
        self.wait_all_ready(30.0)?;
        for n in 0..count {
            self.probe("EIP", NS, &format!("eip-{n}"))?;
            self.probe("FIP", NS, &format!("fip-{n}"))?;
        }
        self.probes_pass(5.0)
    }

    /// Waits until every probed target answers what is asked from now on.
    pub fn probes_pass(&self, secs: f64) -> Outcome {
        let from = self.history.now_us();
        self.wait_for("answers to all probes", secs, || {
            let standings = self.prober.standings();
            let silent = standings
                .iter()
                .find(|(_, standing)| standing.last_answered_us < from);
            match silent {
                None => Ok(()),
                Some((target, standing)) => Err(format!(
                    "{} ({}) answered {} of {}, none of the newest",
                    target.address, target.object, standing.answered, standing.sent
                )),
            }
        })
    }

    /// The Lease's holder and term, as the watch shows it.
    pub fn holder(&self) -> (String, i64) {
        let lease = self
            .live("Lease", GATEWAY.0, &format!("sluice-{}", GATEWAY.1))
            .unwrap_or_default();
        let term = lease
            .pointer("/spec/leaseTransitions")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        (text(&lease, "/spec/holderIdentity"), term)
    }

    /// Name and node of the usual gateway's newest pod that is not going away.
    pub fn gateway_pod(&self) -> Outcome<(String, String)> {
        self.newest_pod(GATEWAY.1)
    }

    /// Name and node of a gateway's newest pod that is not going away.
    pub fn newest_pod(&self, gateway: &str) -> Outcome<(String, String)> {
        let label = format!("sluice.dev/gateway={gateway}");
        let mut pods = self.list("Pod", GATEWAY.0, &label)?;
        pods.retain(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
        pods.sort_by_key(|pod| text(pod, "/metadata/creationTimestamp"));
        let pod = pods
            .last()
            .ok_or_else(|| Failure::Wrong(format!("gateway {gateway} has no pod")))?;
        Ok((text(pod, "/metadata/name"), text(pod, "/spec/nodeName")))
    }

    /// The usual gateway's pod as a host of the lab.
    pub fn gateway_host(&self) -> Outcome<Host> {
        let (name, _) = self.gateway_pod()?;
        Ok(Host::pod(GATEWAY.0, &name))
    }

    /// Waits until all that exists is Ready at another holder than `before`,
    /// and probes pass.
    pub fn wait_recovered(&self, before: &(String, i64), secs: f64) -> Outcome {
        self.wait_for("another holder", secs, || {
            let now = self.holder();
            if now == *before || now.0.is_empty() {
                Err(format!("the Lease shows {now:?}"))
            } else {
                Ok(())
            }
        })?;
        self.wait_all_ready(secs)?;
        self.probes_pass(5.0)
    }
}

/// The usual gateway with an agent that leaves its tables open to others, as on
/// kernels older than 6.9.
pub fn without_ownership(stage: &Stage) -> Outcome {
    stage.with_gateway()?;
    share_tables(stage)
}

/// Gives the usual gateway an agent that leaves its tables open to others.
pub fn share_tables(stage: &Stage) -> Outcome {
    let (old, _) = stage.gateway_pod()?;
    let before = stage.holder();
    let deployment = format!("deployment/sluice-{}", GATEWAY.1);
    stage.kubectl(
        &[
            "-n",
            GATEWAY.0,
            "set",
            "env",
            &deployment,
            "SHARED_TABLES=true",
        ],
        None,
    )?;
    stage.wait_for(
        "a pod with shared tables that holds the gateway",
        60.0,
        || {
            let (pod, _) = stage.gateway_pod().map_err(|failure| failure.to_string())?;
            let now = stage.holder();
            if pod != old && now != before {
                Ok(())
            } else {
                Err(format!("pod {pod}, holder {now:?}"))
            }
        },
    )?;
    stage.wait_ready(&[("NATGateway", GATEWAY.0, GATEWAY.1)], 30.0)
}
