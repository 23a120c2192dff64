//! What the pods of a gateway need whose data plane is OVN: where the databases are, and the
//! certificates for them.

use serde_json::{Value, json};
use sluice_crds::user::Ovn;

/// Where the certificates lie in the pod.
const DIRECTORY: &str = "/etc/sluice/ovn";
/// The volume's name.
const VOLUME: &str = "ovn-tls";

/// Environment of the agent.
pub(super) fn env(ovn: &Ovn) -> Vec<Value> {
    let value = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut env = vec![
        value("DATAPLANE", "ovn"),
        value("OVN_NORTHBOUND", &ovn.northbound),
        value("OVN_SOUTHBOUND", &ovn.southbound),
        value("OVN_ROUTER", &ovn.router),
        value("OVN_GATEWAY_PORT", &ovn.gateway_port),
    ];
    if ovn.tls_secret.is_some() {
        for (name, file) in [
            ("OVN_TLS_CA", "ca.crt"),
            ("OVN_TLS_CERT", "tls.crt"),
            ("OVN_TLS_KEY", "tls.key"),
        ] {
            env.push(value(name, &format!("{DIRECTORY}/{file}")));
        }
    }
    env
}

/// The Secret as a volume.
pub(super) fn volumes(secret: &str) -> Value {
    json!([{"name": VOLUME, "secret": {"secretName": secret}}])
}

/// Where it is mounted.
pub(super) fn mounts() -> Value {
    json!([{"name": VOLUME, "mountPath": DIRECTORY, "readOnly": true}])
}
