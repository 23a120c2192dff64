#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use serde_json::json;

use super::present::has_ended;
use super::*;

const HOW: How = How {
    yes: true,
    keep_operator: false,
    keep_crds: false,
    timeout: Duration::from_secs(1),
};

fn full() -> Present {
    let mut present = Present::default();
    for of in Resource::ALL {
        present.add(
            of,
            Item {
                path: format!("/{of:?}/one"),
                name: format!("{of:?}"),
                deleting: false,
                held: true,
                ended: true,
            },
        );
    }
    present
}

/// The stages by what goes in them, each done before the next.
fn order(works: bool, how: &How) -> Vec<Vec<String>> {
    let mut left = full();
    let mut order = Vec::new();
    while let Some(stage) = next(&left, works, how) {
        order.push(stage.items.iter().map(ToString::to_string).collect());
        left.forget(&stage.items);
    }
    order
}

fn place(order: &[Vec<String>], name: &str) -> usize {
    order
        .iter()
        .position(|stage| stage.iter().any(|item| item == name))
        .unwrap_or(usize::MAX)
}

#[test]
fn with_an_operator_each_kind_goes_when_nothing_needs_it_any_more() {
    let order = order(true, &HOW);
    let places: Vec<usize> = [
        "Deletions",
        "Fips",
        "Eips",
        "Gateways",
        "Pools",
        "Claims",
        "OwnDeployments",
        "Definitions",
    ]
    .map(|name| place(&order, name))
    .to_vec();
    assert!(places.is_sorted_by(|a, b| a < b), "{order:?}");
    // What the operator made is its to remove: it is waited for, and not deleted.
    let mut present = full();
    for stage in order.iter().take(place(&order, "Claims")) {
        let items: Vec<Item> = stage
            .iter()
            .map(|n| Item {
                path: format!("/{n}/one"),
                name: n.clone(),
                deleting: false,
                held: true,
                ended: true,
            })
            .collect();
        present.forget(&items);
    }
    let stage = next(&present, true, &HOW).unwrap();
    assert!(!stage.deletes && !stage.frees, "{stage:?}");
}

#[test]
fn no_finalizer_is_taken_away_while_the_operator_works() {
    let mut left = full();
    while let Some(stage) = next(&left, true, &HOW) {
        assert!(!stage.frees, "{stage:?}");
        left.forget(&stage.items);
    }
}

#[test]
fn without_an_operator_kernels_are_ended_before_anything_is_freed() {
    let order = order(false, &HOW);
    let places: Vec<usize> = [
        "Policies",
        "Deployments",
        "Pods",
        "Eips",
        "Claims",
        "Leases",
        "OwnDeployments",
        "Definitions",
    ]
    .map(|name| place(&order, name))
    .to_vec();
    assert!(places.is_sorted_by(|a, b| a < b), "{order:?}");
    assert_eq!(
        place(&order, "Eips"),
        place(&order, "Gateways"),
        "all users' objects are freed together"
    );
}

#[test]
fn an_operator_that_dies_on_the_way_changes_the_rest_of_the_way() {
    let mut left = full();
    let first = next(&left, true, &HOW).unwrap();
    left.forget(&first.items);
    assert_eq!(next(&left, true, &HOW).unwrap().items[0].name, "Fips");
    assert_eq!(next(&left, false, &HOW).unwrap().items[0].name, "Policies");
}

#[test]
fn what_shall_stay_stays() {
    let keep = How {
        keep_operator: true,
        keep_crds: true,
        ..HOW
    };
    assert_eq!(place(&order(true, &keep), "OwnDeployments"), usize::MAX);
    assert_eq!(place(&order(true, &keep), "Definitions"), usize::MAX);
    let for_helm = How {
        keep_operator: true,
        ..HOW
    };
    let order_for_helm = order(true, &for_helm);
    assert_eq!(place(&order_for_helm, "OwnDeployments"), usize::MAX);
    assert!(place(&order_for_helm, "Pools") < place(&order_for_helm, "Definitions"));
    assert_ne!(place(&order_for_helm, "Definitions"), usize::MAX);
    let keep = How {
        keep_crds: true,
        ..HOW
    };
    assert_ne!(place(&order(true, &keep), "OwnDeployments"), usize::MAX);
    assert_eq!(place(&order(true, &keep), "Definitions"), usize::MAX);
}

#[test]
fn a_pod_is_freed_only_when_it_surely_runs_nothing() {
    let pod = |state: serde_json::Value| json!({"spec": {"nodeName": "a"}, "status": {"containerStatuses": [{"state": state}]}});
    let node = |taints: serde_json::Value| {
        vec![json!({"metadata": {"name": "a"}, "spec": {"taints": taints}})]
    };
    let plain = node(json!([]));
    assert!(!has_ended(&pod(json!({"running": {}})), &plain));
    assert!(has_ended(
        &pod(json!({"terminated": {"exitCode": 0}})),
        &plain
    ));
    assert!(
        !has_ended(&json!({"spec": {"nodeName": "a"}, "status": {}}), &plain),
        "nobody has said anything"
    );
    assert!(has_ended(&json!({"spec": {}}), &plain), "never placed");
    assert!(
        has_ended(&pod(json!({"running": {}})), &[]),
        "its Node is gone"
    );
    let off = node(json!([{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]));
    assert!(has_ended(&pod(json!({"running": {}})), &off));
}
