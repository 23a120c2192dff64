//! The table itself.

use std::fmt;

use serde_json::{Value, json};

use super::cast::Who;
use super::scene::{claim, config, slice};

/// What a row expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    May,
    /// The authorizer refuses it.
    NoRight,
    /// This admission policy refuses it.
    Policy(&'static str),
}

/// What the API server said.
#[derive(Debug)]
pub enum Said {
    Done,
    Refused(u16, String),
}

impl Answer {
    pub fn is(self, said: &Said) -> bool {
        match (self, said) {
            (Self::May, Said::Done) => true,
            (Self::NoRight, Said::Refused(403, words)) => {
                // `attempting to grant` is the guard against giving more than one has.
                words.contains(" cannot ") || words.contains("attempting to grant")
            }
            (Self::Policy(name), Said::Refused(403, words)) => {
                words.contains(&format!("ValidatingAdmissionPolicy '{name}'"))
            }
            _ => false,
        }
    }
}

/// One question.
pub struct Row {
    pub who: Who,
    pub verb: &'static str,
    /// Plural, with `/status` where that is meant.
    pub resource: &'static str,
    pub namespace: &'static str,
    pub name: &'static str,
    pub expected: Answer,
    /// What is changed about the object that is sent.
    with: Value,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {} {} {}/{} {}",
            self.who, self.verb, self.resource, self.namespace, self.name, self.with
        )
    }
}

impl Row {
    fn with(mut self, with: Value) -> Self {
        self.with = with;
        self
    }

    /// Method, path, content type and body. `live` is what stands, for an update.
    pub fn request(&self, mut live: Value) -> (&'static str, String, &'static str, Vec<u8>) {
        let (plural, sub) = match self.resource.split_once('/') {
            Some((plural, sub)) => (plural, format!("/{sub}")),
            None => (self.resource, String::new()),
        };
        let all = collection(plural, self.namespace);
        let one = format!("{all}/{}{sub}", self.name);
        let dry = "?dryRun=All";
        let json = "application/json";
        match self.verb {
            "get" => ("GET", one, json, Vec::new()),
            "list" => ("GET", all, json, Vec::new()),
            "list-one" => {
                let named = format!("{all}?fieldSelector=metadata.name%3D{}", self.name);
                ("GET", named, json, Vec::new())
            }
            "create" => {
                let mut object = object(plural, self.namespace, self.name);
                merge(&mut object, &self.with);
                let body = object.to_string().into_bytes();
                ("POST", format!("{all}{dry}"), json, body)
            }
            "update" => {
                merge(&mut live, &self.with);
                (
                    "PUT",
                    format!("{one}{dry}"),
                    json,
                    live.to_string().into_bytes(),
                )
            }
            "patch" => {
                let body = self.with.to_string().into_bytes();
                (
                    "PATCH",
                    format!("{one}{dry}"),
                    "application/merge-patch+json",
                    body,
                )
            }
            "delete" => ("DELETE", format!("{one}{dry}"), json, Vec::new()),
            other => panic!("{other} is no verb of this table"),
        }
    }
}

/// Merges as a merge-patch does, but for nulls.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, from) => *into = from.clone(),
    }
}

/// Where the objects of a resource are.
pub fn collection(plural: &str, namespace: &str) -> String {
    let group = match plural {
        "pods" | "secrets" | "serviceaccounts" | "nodes" => "api/v1",
        "leases" => "apis/coordination.k8s.io/v1",
        "deployments" => "apis/apps/v1",
        "roles" | "rolebindings" | "clusterroles" => "apis/rbac.authorization.k8s.io/v1",
        "natgateways" | "eippools" | "eips" | "fips" | "dnats" | "snats" => {
            "apis/sluice.dev/v1alpha1"
        }
        _ => "apis/internal.sluice.dev/v1alpha1",
    };
    match namespace {
        "" => format!("/{group}/{plural}"),
        namespace => format!("/{group}/namespaces/{namespace}/{plural}"),
    }
}

/// An object to create, as its owner would.
fn object(plural: &str, namespace: &str, name: &str) -> Value {
    let meta = json!({"name": name, "namespace": namespace});
    let ours = |kind: &str, spec: Value| json!({"apiVersion": "sluice.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec});
    match plural {
        "eips" => ours(
            "EIP",
            json!({"gateway": {"name": "egress", "namespace": "net"}}),
        ),
        "fips" => ours(
            "FIP",
            json!({"eip": {"name": "web"}, "target": {"ips": ["10.244.0.5"]}}),
        ),
        "dnats" => ours(
            "DNAT",
            json!({"eip": {"name": "web"}, "ports": 80, "targets": [{"ips": ["10.244.0.5"]}]}),
        ),
        "snats" => ours(
            "SNAT",
            json!({"eips": [{"name": "web"}], "sources": ["10.244.0.0/24"]}),
        ),
        "natgateways" => ours(
            "NATGateway",
            json!({"uplinks": [{"name": "external", "pools": ["used"], "networkAttachment": "net/external"}]}),
        ),
        "eippools" => {
            json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "EIPPool", "metadata": {"name": name}, "spec": {"subnets": [{"cidr": "10.155.32.0/24"}]}})
        }
        "gatewayconfigs" => config(namespace, name),
        "ruleslices" => slice(namespace, name),
        "addressclaims" => claim(name.trim_start_matches("default.")),
        "gatewayinstances" => {
            json!({"apiVersion": "internal.sluice.dev/v1alpha1", "kind": "GatewayInstance", "metadata": meta,
            "spec": {"gateway": "egress", "gatewayUID": "g", "podUID": "p", "node": "node-a"}})
        }
        "leases" => {
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta})
        }
        "serviceaccounts" => {
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        }
        "roles" | "clusterroles" => {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": if plural == "roles" { "Role" } else { "ClusterRole" },
            "metadata": meta, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]})
        }
        "deployments" => {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "none"}]}}}})
        }
        other => panic!("{other} is not created by this table"),
    }
}

fn row(
    who: Who,
    verb: &'static str,
    resource: &'static str,
    at: (&'static str, &'static str),
    expected: Answer,
) -> Row {
    Row {
        who,
        verb,
        resource,
        namespace: at.0,
        name: at.1,
        expected,
        with: Value::Null,
    }
}

/// All rows.
pub fn rows() -> Vec<Row> {
    [
        agents(),
        operator(),
        tenants(),
        neighbour(),
        gateway_admins(),
        masters(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

use Answer::{May, NoRight, Policy};
const REPORTS: Answer = Policy("reports.sluice.dev");
const INTERNAL: Answer = Policy("internal.sluice.dev");
const LEASES: Answer = Policy("leases.sluice.dev");
const OPERATOR: Answer = Policy("operator.sluice.dev");
const DEAD: Answer = Policy("declare-dead.sluice.dev");
const IN_USE: Answer = Policy("in-use.sluice.dev");

/// The label by which the operator knows what it made.
fn labelled() -> Value {
    json!({"metadata": {"labels": {"sluice.dev/gateway-uid": "g"}}})
}

fn glass() -> Value {
    json!({"metadata": {"annotations": {"sluice.dev/break-glass": "the test asks for it"}}})
}

fn declared() -> Value {
    json!({"metadata": {"annotations": {"sluice.dev/declare-dead": "pod/p/b/1"}}})
}

fn agents() -> Vec<Row> {
    use Who::{Agent, OtherAgent, UnboundAgent};
    let instance = json!({"status": {"instance": "pod/another/boot/1"}});
    let owner = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "gw-2", "uid": "p"}]}});
    vec![
        // Configs: its own gateway's, by name.
        row(Agent, "get", "gatewayconfigs", ("net", "egress"), May),
        row(Agent, "list-one", "gatewayconfigs", ("net", "egress"), May),
        row(Agent, "list", "gatewayconfigs", ("net", ""), NoRight),
        row(Agent, "get", "gatewayconfigs", ("net", "idle"), NoRight),
        row(
            Agent,
            "list-one",
            "gatewayconfigs",
            ("net", "idle"),
            NoRight,
        ),
        row(Agent, "get", "gatewayconfigs", ("other", "egress"), NoRight),
        row(
            Agent,
            "update",
            "gatewayconfigs",
            ("net", "egress"),
            NoRight,
        ),
        row(Agent, "get", "ruleslices", ("net", "egress-0"), May),
        row(Agent, "get", "ruleslices", ("other", "egress-0"), NoRight),
        row(Agent, "list", "ruleslices", ("net", ""), NoRight),
        row(Agent, "create", "ruleslices", ("net", "forged"), NoRight),
        // Reports: of its own Pod.
        row(Agent, "get", "gatewayinstances", ("net", "gw-1"), May),
        row(
            Agent,
            "update",
            "gatewayinstances/status",
            ("net", "gw-1"),
            May,
        ),
        row(
            Agent,
            "update",
            "gatewayinstances/status",
            ("net", "gw-1"),
            REPORTS,
        )
        .with(instance),
        row(
            Agent,
            "update",
            "gatewayinstances/status",
            ("net", "gw-2"),
            REPORTS,
        ),
        row(
            OtherAgent,
            "update",
            "gatewayinstances/status",
            ("net", "gw-1"),
            REPORTS,
        ),
        row(
            OtherAgent,
            "update",
            "gatewayinstances/status",
            ("net", "gw-2"),
            May,
        ),
        row(
            UnboundAgent,
            "update",
            "gatewayinstances/status",
            ("net", "gw-1"),
            REPORTS,
        ),
        row(
            Agent,
            "create",
            "gatewayinstances",
            ("net", "gw-3"),
            REPORTS,
        ),
        row(
            Agent,
            "create",
            "gatewayinstances",
            ("net", "gw-1"),
            REPORTS,
        ),
        row(
            Agent,
            "create",
            "gatewayinstances",
            ("net", "gw-1"),
            REPORTS,
        )
        .with(owner),
        row(
            Agent,
            "create",
            "gatewayinstances",
            ("net", "gw-1"),
            REPORTS,
        )
        .with(json!({"spec": {"gateway": "idle"}})),
        row(
            UnboundAgent,
            "create",
            "gatewayinstances",
            ("net", "gw-1"),
            REPORTS,
        ),
        row(
            Agent,
            "create",
            "gatewayinstances",
            ("other", "gw-1"),
            NoRight,
        ),
        row(
            Agent,
            "update",
            "gatewayinstances",
            ("net", "gw-1"),
            NoRight,
        ),
        row(
            Agent,
            "delete",
            "gatewayinstances",
            ("net", "gw-1"),
            NoRight,
        ),
        row(Agent, "list", "gatewayinstances", ("net", ""), NoRight),
        // Leases: its own gateway's.
        row(Agent, "get", "leases", ("net", "sluice-egress"), May),
        row(Agent, "update", "leases", ("net", "sluice-egress"), May),
        row(Agent, "update", "leases", ("net", "sluice-idle"), NoRight),
        row(
            Agent,
            "update",
            "leases",
            ("other", "sluice-egress"),
            NoRight,
        ),
        row(Agent, "create", "leases", ("net", "sluice-more"), NoRight),
        row(Agent, "delete", "leases", ("net", "sluice-egress"), NoRight),
        // Nothing else.
        row(Agent, "get", "pods", ("net", "gw-1"), May),
        row(Agent, "list", "pods", ("net", ""), NoRight),
        row(Agent, "patch", "pods", ("net", "gw-1"), NoRight)
            .with(json!({"metadata": {"finalizers": []}})),
        row(Agent, "get", "secrets", ("net", "secret"), NoRight),
        row(Agent, "get", "eips", ("tenants", "web"), NoRight),
        row(Agent, "patch", "eips/status", ("tenants", "web"), NoRight)
            .with(json!({"status": {"ipv4": "10.155.30.9"}})),
        row(
            Agent,
            "patch",
            "natgateways/status",
            ("net", "egress"),
            NoRight,
        )
        .with(json!({"status": {"eips": 0}})),
        row(
            Agent,
            "get",
            "addressclaims",
            ("", "default.10.155.30.200"),
            NoRight,
        ),
        row(Agent, "list", "nodes", ("", ""), NoRight),
    ]
}

fn operator() -> Vec<Row> {
    use Who::Operator;
    let finalizers = || json!({"metadata": {"finalizers": ["sluice.dev/fenced"]}});
    let secrets = json!({"metadata": {"labels": {"sluice.dev/gateway-uid": "g"}},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]});
    vec![
        // Users' objects: status and finalizers.
        row(Operator, "patch", "eips/status", ("tenants", "web"), May)
            .with(json!({"status": {"ipv4": "10.155.30.9"}})),
        row(Operator, "patch", "eips", ("tenants", "web"), May)
            .with(json!({"metadata": {"finalizers": ["sluice.dev/programmed"]}})),
        row(Operator, "update", "eips", ("tenants", "web"), NoRight),
        row(Operator, "create", "eips", ("tenants", "new"), NoRight),
        row(Operator, "delete", "eips", ("tenants", "web"), NoRight),
        row(Operator, "delete", "natgateways", ("net", "idle"), NoRight),
        // Its own kinds.
        row(Operator, "create", "gatewayconfigs", ("net", "new"), May),
        row(Operator, "update", "gatewayconfigs", ("net", "egress"), May)
            .with(json!({"spec": {"entries": 2}})),
        row(Operator, "create", "ruleslices", ("net", "new-1"), May),
        row(Operator, "delete", "ruleslices", ("net", "egress-0"), May),
        row(
            Operator,
            "create",
            "addressclaims",
            ("", "default.10.155.30.210"),
            May,
        ),
        row(
            Operator,
            "update",
            "addressclaims",
            ("", "default.10.155.30.200"),
            May,
        )
        .with(json!({"spec": {"phase": "Releasing"}})),
        row(
            Operator,
            "delete",
            "addressclaims",
            ("", "default.10.155.30.200"),
            May,
        ),
        // Reports: it takes finalizers away, and never speaks for an instance.
        row(Operator, "patch", "gatewayinstances", ("net", "gw-1"), May).with(finalizers()),
        row(Operator, "delete", "gatewayinstances", ("net", "gw-1"), May),
        row(
            Operator,
            "update",
            "gatewayinstances/status",
            ("net", "gw-1"),
            REPORTS,
        ),
        row(
            Operator,
            "create",
            "gatewayinstances",
            ("net", "gw-9"),
            REPORTS,
        ),
        // Leases of gateways, and no others.
        row(Operator, "create", "leases", ("net", "sluice-new"), May).with(labelled()),
        row(Operator, "update", "leases", ("net", "sluice-egress"), May),
        row(Operator, "delete", "leases", ("net", "sluice-egress"), May),
        row(
            Operator,
            "create",
            "leases",
            ("net", "sluice-new"),
            OPERATOR,
        ),
        row(Operator, "create", "leases", ("net", "other"), OPERATOR).with(labelled()),
        row(
            Operator,
            "update",
            "leases",
            ("kube-system", "theirs"),
            OPERATOR,
        ),
        row(Operator, "delete", "leases", ("net", "mine"), OPERATOR),
        row(
            Operator,
            "create",
            "leases",
            ("sluice-system", "sluice-operator"),
            May,
        ),
        // Children of gateways, and no other workloads and rights.
        row(
            Operator,
            "create",
            "serviceaccounts",
            ("net", "sluice-new"),
            May,
        )
        .with(labelled()),
        row(
            Operator,
            "create",
            "serviceaccounts",
            ("net", "other"),
            OPERATOR,
        )
        .with(labelled()),
        row(Operator, "create", "roles", ("net", "sluice-new"), May).with(labelled()),
        row(Operator, "create", "roles", ("net", "sluice-new"), OPERATOR),
        row(Operator, "create", "roles", ("net", "sluice-new"), NoRight).with(secrets),
        row(
            Operator,
            "create",
            "clusterroles",
            ("", "sluice-new"),
            NoRight,
        )
        .with(labelled()),
        row(
            Operator,
            "create",
            "deployments",
            ("net", "sluice-new"),
            May,
        )
        .with(labelled()),
        row(
            Operator,
            "update",
            "deployments",
            ("net", "sluice-egress"),
            May,
        ),
        row(
            Operator,
            "delete",
            "deployments",
            ("net", "sluice-egress"),
            May,
        ),
        row(Operator, "delete", "deployments", ("net", "app"), OPERATOR),
        row(Operator, "update", "deployments", ("net", "app"), OPERATOR),
        // Pods: finalizers of gateways'.
        row(Operator, "patch", "pods", ("net", "gw-1"), May)
            .with(json!({"metadata": {"finalizers": null}})),
        row(Operator, "patch", "pods", ("net", "gw-1"), OPERATOR)
            .with(json!({"metadata": {"annotations": {"a": "b"}}})),
        row(Operator, "patch", "pods", ("tenants", "app"), OPERATOR).with(finalizers()),
        row(Operator, "delete", "pods", ("net", "gw-1"), NoRight),
        row(Operator, "get", "pods", ("tenants", "app"), May),
        // Nothing else.
        row(Operator, "get", "secrets", ("net", "secret"), NoRight),
        row(Operator, "list", "secrets", ("", ""), NoRight),
        row(Operator, "list", "nodes", ("", ""), May),
        row(Operator, "patch", "nodes", ("", "node-a"), NoRight)
            .with(json!({"metadata": {"labels": {"a": "b"}}})),
    ]
}

fn tenants() -> Vec<Row> {
    use Who::{Tenant, Viewer};
    vec![
        row(Viewer, "list", "eips", ("tenants", ""), May),
        row(Viewer, "get", "eips", ("tenants", "web"), May),
        row(Viewer, "create", "eips", ("tenants", "new"), NoRight),
        row(Viewer, "list", "eips", ("", ""), NoRight),
        row(Viewer, "list", "natgateways", ("tenants", ""), NoRight),
        row(Tenant, "create", "eips", ("tenants", "new"), May),
        row(Tenant, "create", "fips", ("tenants", "new"), May),
        row(Tenant, "create", "dnats", ("tenants", "new"), May),
        row(Tenant, "create", "snats", ("tenants", "new"), May),
        row(Tenant, "delete", "eips", ("tenants", "web"), May),
        row(Tenant, "create", "eips", ("net", "new"), NoRight),
        row(Tenant, "patch", "eips/status", ("tenants", "web"), NoRight)
            .with(json!({"status": {"ipv4": "10.155.30.9"}})),
        row(Tenant, "create", "natgateways", ("tenants", "new"), NoRight),
        row(Tenant, "create", "eippools", ("", "new"), NoRight),
        // Nor does he learn others' addresses.
        row(Tenant, "list", "addressclaims", ("", ""), NoRight),
        row(Tenant, "list", "ruleslices", ("tenants", ""), NoRight),
        row(Tenant, "get", "gatewayconfigs", ("net", "egress"), NoRight),
        row(
            Tenant,
            "create",
            "gatewayinstances",
            ("tenants", "gw-1"),
            NoRight,
        ),
        row(Tenant, "create", "leases", ("tenants", "mine"), May),
    ]
}

/// Who may edit what is in the gateways' namespace is no administrator of gateways.
fn neighbour() -> Vec<Row> {
    use Who::Neighbour;
    vec![
        row(Neighbour, "create", "leases", ("net", "mine-too"), May),
        row(Neighbour, "delete", "leases", ("net", "mine"), May),
        row(
            Neighbour,
            "delete",
            "leases",
            ("net", "sluice-egress"),
            LEASES,
        ),
        row(
            Neighbour,
            "update",
            "leases",
            ("net", "sluice-egress"),
            LEASES,
        ),
        row(
            Neighbour,
            "update",
            "leases",
            ("net", "sluice-open"),
            LEASES,
        ),
        row(Neighbour, "create", "leases", ("net", "sluice-new"), LEASES),
        row(Neighbour, "delete", "natgateways", ("net", "idle"), NoRight),
        row(
            Neighbour,
            "create",
            "gatewayconfigs",
            ("net", "new"),
            NoRight,
        ),
        row(
            Neighbour,
            "create",
            "gatewayinstances",
            ("net", "gw-1"),
            NoRight,
        ),
    ]
}

fn gateway_admins() -> Vec<Row> {
    use Who::{Breaker, GatewayAdmin};
    vec![
        row(GatewayAdmin, "create", "natgateways", ("net", "new"), May),
        row(GatewayAdmin, "create", "eippools", ("", "new"), May),
        row(
            GatewayAdmin,
            "get",
            "gatewayconfigs",
            ("net", "egress"),
            May,
        ),
        row(
            GatewayAdmin,
            "create",
            "gatewayconfigs",
            ("net", "new"),
            NoRight,
        ),
        row(
            GatewayAdmin,
            "patch",
            "natgateways/status",
            ("net", "egress"),
            NoRight,
        )
        .with(json!({"status": {"usedBy": []}})),
        // In use or not.
        row(GatewayAdmin, "delete", "natgateways", ("net", "idle"), May),
        row(
            GatewayAdmin,
            "delete",
            "natgateways",
            ("net", "egress"),
            IN_USE,
        ),
        row(
            GatewayAdmin,
            "delete",
            "natgateways",
            ("net", "open"),
            IN_USE,
        ),
        row(GatewayAdmin, "delete", "eippools", ("", "used"), IN_USE),
        row(GatewayAdmin, "delete", "eippools", ("", "spare"), May),
        row(Breaker, "delete", "natgateways", ("net", "egress"), IN_USE),
        row(Breaker, "delete", "natgateways", ("net", "open"), May),
        // Declared dead.
        row(
            GatewayAdmin,
            "patch",
            "natgateways",
            ("net", "egress"),
            DEAD,
        )
        .with(declared()),
        row(GatewayAdmin, "create", "natgateways", ("net", "new"), DEAD).with(declared()),
        row(Breaker, "patch", "natgateways", ("net", "egress"), May).with(declared()),
        row(
            GatewayAdmin,
            "delete",
            "leases",
            ("net", "sluice-open"),
            NoRight,
        ),
    ]
}

fn masters() -> Vec<Row> {
    use Who::{Master, NamespaceController};
    let claim = |name| ("", name);
    vec![
        // Even who may do everything says so before.
        row(Master, "create", "gatewayconfigs", ("net", "new"), INTERNAL),
        row(Master, "create", "gatewayconfigs", ("net", "new"), May).with(glass()),
        row(
            Master,
            "update",
            "gatewayconfigs",
            ("net", "egress"),
            INTERNAL,
        )
        .with(json!({"spec": {"entries": 9}})),
        row(Master, "update", "gatewayconfigs", ("net", "egress"), May)
            .with(json!({"metadata": {"labels": {"a": "b"}}})),
        row(Master, "create", "ruleslices", ("net", "new-1"), INTERNAL),
        row(
            Master,
            "create",
            "addressclaims",
            claim("default.10.155.30.220"),
            INTERNAL,
        ),
        row(
            Master,
            "update",
            "addressclaims",
            claim("default.10.155.30.200"),
            INTERNAL,
        )
        .with(json!({"spec": {"gatewayUID": "x"}})),
        row(
            Master,
            "delete",
            "addressclaims",
            claim("default.10.155.30.200"),
            INTERNAL,
        ),
        row(
            Master,
            "delete",
            "addressclaims",
            claim("default.10.155.30.201"),
            May,
        ),
        row(
            Master,
            "create",
            "gatewayinstances",
            ("net", "gw-1"),
            REPORTS,
        ),
        row(
            Master,
            "update",
            "gatewayinstances/status",
            ("net", "gw-1"),
            REPORTS,
        ),
        row(Master, "delete", "leases", ("net", "sluice-egress"), LEASES),
        row(Master, "delete", "leases", ("net", "sluice-open"), May),
        row(Master, "delete", "natgateways", ("net", "egress"), IN_USE),
        row(Master, "delete", "natgateways", ("net", "open"), May),
        row(Master, "patch", "natgateways", ("net", "egress"), May).with(declared()),
        // What empties namespaces is not held up.
        row(
            NamespaceController,
            "delete",
            "natgateways",
            ("net", "egress"),
            May,
        ),
        row(
            NamespaceController,
            "delete",
            "leases",
            ("net", "sluice-egress"),
            May,
        ),
        row(
            NamespaceController,
            "delete",
            "gatewayinstances",
            ("net", "gw-1"),
            May,
        ),
    ]
}
