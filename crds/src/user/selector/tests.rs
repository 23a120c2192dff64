//! What a selector selects.

use super::*;

fn selects(selector: serde_json::Value, labels: &[(&str, &str)]) -> bool {
    let selector: LabelSelector = serde_json::from_value(selector).unwrap();
    let labels = labels
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    selector.matches(&labels)
}

fn one(operator: &str, values: &[&str]) -> serde_json::Value {
    serde_json::json!({"matchExpressions": [{"key": "app", "operator": operator, "values": values}]})
}

#[test]
fn an_empty_selector_selects_everything() {
    assert!(selects(serde_json::json!({}), &[]));
    assert!(selects(serde_json::json!({}), &[("app", "web")]));
}

#[test]
fn every_label_and_every_requirement_must_hold() {
    let both = serde_json::json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]});
    assert!(selects(both.clone(), &[("app", "web"), ("tier", "a")]));
    assert!(!selects(both.clone(), &[("app", "web")]));
    assert!(!selects(both, &[("app", "api"), ("tier", "a")]));
}

#[test]
fn an_absent_label_is_not_in_any_list() {
    assert!(selects(one("In", &["web", "api"]), &[("app", "api")]));
    assert!(!selects(one("In", &["web"]), &[]));
    assert!(!selects(one("In", &["web"]), &[("app", "db")]));
    assert!(selects(one("NotIn", &["web"]), &[]));
    assert!(selects(one("NotIn", &["web"]), &[("app", "db")]));
    assert!(!selects(one("NotIn", &["web"]), &[("app", "web")]));
    assert!(selects(one("Exists", &[]), &[("app", "")]));
    assert!(!selects(one("Exists", &[]), &[("other", "")]));
    assert!(selects(one("DoesNotExist", &[]), &[("other", "")]));
    assert!(!selects(one("DoesNotExist", &[]), &[("app", "")]));
}
