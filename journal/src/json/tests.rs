#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::json;
use sluice_crds::address::DualAddress;

use super::*;
use crate::{captured, or_null};

#[test]
fn r_log_both_keys_stand_in_every_line_and_null_where_there_is_none() {
    let lines = captured(|| {
        for text in ["192.0.2.7", "2001:db8::7"] {
            let record = DualAddress::of(text.parse().unwrap());
            let (ipv4, ipv6) = (or_null(record.ipv4), or_null(record.ipv6));
            tracing::info!(ipv4, ipv6, "addresses");
        }
    });
    let keys = |line: &Value| [line["ipv4"].clone(), line["ipv6"].clone()];
    assert_eq!(keys(&lines[0]), [json!("192.0.2.7"), Value::Null]);
    assert_eq!(keys(&lines[1]), [Value::Null, json!("2001:db8::7")]);
    assert!(
        lines
            .iter()
            .all(|line| line.as_object().unwrap().contains_key("ipv4"))
    );
}

#[test]
fn a_line_has_its_fields_with_their_types_and_whatever_is_in_them() {
    let lines = captured(|| {
        let error = "a \"quoted\"\nline";
        tracing::warn!(count = 3, done = true, error, name = %"x", "failed");
    });
    let line = &lines[0];
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(line["count"], 3);
    assert_eq!(line["done"], true);
    assert_eq!(line["error"], "a \"quoted\"\nline");
    assert_eq!(
        (&line["level"], &line["message"]),
        (&json!("WARN"), &json!("failed"))
    );
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}
