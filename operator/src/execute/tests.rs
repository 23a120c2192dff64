//! What is sent and what answers mean. The writes themselves are tried against
//! a real API server in `tests/edge.rs`.

use super::*;
use sluice_core::operator::event::LeaseFacts;

fn lease(uid: &str) -> LeaseFacts {
    LeaseFacts {
        key: Key {
            namespace: "net".into(),
            name: "sluice-egress".into(),
        },
        uid: Uid::new(uid),
        resource_version: "9".into(),
        gateway_uid: Uid::new("g"),
        holder: String::new(),
        transitions: 7,
        duration_secs: 15,
        renew_time: String::new(),
        acquire_time: String::new(),
        deleting: false,
    }
}

#[test]
fn a_new_lease_has_no_version_and_an_old_one_both_preconditions() {
    let fresh = body::lease(&lease(""));
    assert_eq!(fresh.pointer("/metadata/resourceVersion"), None);
    assert_eq!(
        fresh
            .pointer("/metadata/labels/sluice.dev~1gateway")
            .unwrap(),
        "egress"
    );
    assert_eq!(
        fresh["spec"],
        json!({"leaseTransitions": 7, "leaseDurationSeconds": 15})
    );
    let old = body::lease(&lease("u"));
    assert_eq!(
        (&old["metadata"]["uid"], &old["metadata"]["resourceVersion"]),
        (&json!("u"), &json!("9"))
    );
}

#[test]
fn every_deletion_names_the_life_it_means() {
    let options = body::delete_options(&Uid::new("u"), None, None);
    assert_eq!(options["preconditions"], json!({"uid": "u"}));
    let options = body::delete_options(&Uid::new("u"), Some("7"), Some("Background"));
    assert_eq!(
        options["preconditions"],
        json!({"uid": "u", "resourceVersion": "7"})
    );
    assert_eq!(options["propagationPolicy"], "Background");
}

#[test]
fn only_an_object_that_nothing_holds_is_finished() {
    let eip = Resource::of(Kind::EIP)[0];
    let pod = Resource::of(Kind::Pod)[0];
    let object = |finalizers: &[&str], deleted: bool| {
        let mut metadata = json!({"name": "x", "finalizers": finalizers});
        if deleted {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        json!({"metadata": metadata})
    };
    assert!(!body::is_finished(&eip, &object(&[], false)));
    assert!(!body::is_finished(
        &eip,
        &object(&["sluice.dev/programmed"], true)
    ));
    assert!(body::is_finished(&eip, &object(&[], true)));
    assert!(
        !body::is_finished(&pod, &object(&[], true)),
        "a Pod goes when the kubelet says so"
    );
}

#[test]
fn what_is_uncertain_is_never_called_refused_or_done() {
    let refused = Failure::Refused {
        code: 403,
        message: "no".into(),
    };
    assert!(matches!(outcome_of(&refused), Outcome::Refused(_)));
    for failure in [
        Failure::NoSuchKind,
        Failure::Unknown("x".into()),
        Failure::Expired("x".into()),
    ] {
        assert!(
            matches!(outcome_of(&failure), Outcome::Unknown(_)),
            "{failure}"
        );
    }
    for failure in [
        Failure::NotFound,
        Failure::AlreadyExists,
        Failure::Conflict("x".into()),
    ] {
        assert_eq!(outcome_of(&failure), Outcome::Conflict);
    }
}

#[test]
fn a_missing_kind_is_not_a_missing_object() {
    let status = |value: Value| crate::rest::from_status(&serde_json::from_value(value).unwrap());
    let named =
        json!({"code": 404, "reason": "NotFound", "details": {"name": "web", "kind": "eips"}});
    assert_eq!(status(named), Failure::NotFound);
    assert_eq!(
        status(json!({"code": 404, "reason": "NotFound", "details": {}})),
        Failure::NoSuchKind
    );
    assert_eq!(
        status(json!({"code": 404, "reason": "NotFound"})),
        Failure::NoSuchKind
    );
    let namespace = json!({"code": 404, "reason": "NotFound", "details": {"name": "net", "kind": "namespaces"}});
    assert!(matches!(
        status(namespace),
        Failure::Refused { code: 404, .. }
    ));
    assert!(matches!(
        status(json!({"code": 500, "reason": "InternalError"})),
        Failure::Unknown(_)
    ));
    assert!(matches!(status(json!({"code": 429})), Failure::Unknown(_)));
    assert!(matches!(status(json!({"code": 401})), Failure::Unknown(_)));
}
