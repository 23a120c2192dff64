use serde_json::json;

use super::*;

#[test]
fn ready_of_an_older_generation_is_not_waited_for() {
    let eip = |observed: i64, status: &str| {
        json!({"metadata": {"generation": 2}, "status": {"conditions": [
            {"type": "Accepted", "status": "True", "observedGeneration": 2},
            {"type": "Ready", "status": status, "observedGeneration": observed}]}})
    };
    assert!(done(Some(&eip(2, "True")), Until::Ready));
    assert!(!done(Some(&eip(1, "True")), Until::Ready));
    assert!(!done(Some(&eip(2, "Unknown")), Until::Ready));
    assert!(!done(None, Until::Ready));
    assert!(done(None, Until::Deleted));
    assert!(!done(Some(&eip(2, "True")), Until::Deleted));
}
