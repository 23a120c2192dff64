use serde_json::json;

use super::*;

fn not_found(kind: &str, name: &str) -> kube::Error {
    let status = json!({
        "code": 404, "reason": "NotFound", "message": format!("{kind} \"{name}\" not found"),
        "details": {"kind": kind, "name": name}
    });
    kube::Error::Api(serde_json::from_value(status).unwrap())
}

#[test]
fn only_the_object_that_was_asked_for_counts_as_not_found() {
    let binding = "/apis/rbac.authorization.k8s.io/v1/namespaces/net/rolebindings/sluice-x?fieldValidation=Strict";
    let status = "/apis/sluice.dev/v1alpha1/namespaces/net/eips/web/status";
    for (path, kind, name, own) in [
        (binding, "rolebindings", "sluice-x", true),
        (binding, "roles", "sluice-x", false),
        (binding, "rolebindings", "other", false),
        (status, "eips", "web", true),
        (status, "fips", "web", false),
        ("/api/v1/namespaces/net/pods/web", "pods", "web", true),
        (
            "/apis/sluice.dev/v1alpha1/namespaces/net/eips",
            "eips",
            "web",
            false,
        ),
    ] {
        let failure = answered(path, &not_found(kind, name));
        let expected = if own {
            failure == Failure::NotFound
        } else {
            matches!(failure, Failure::Unknown(_))
        };
        assert!(expected, "{path}, {kind} {name}: {failure:?}");
    }
}
