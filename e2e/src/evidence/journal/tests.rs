//! Logs that break the rules, and one that does not.
#![allow(clippy::unwrap_used)]

use super::*;

fn line(op: &str, v4: &str, v6: &str) -> String {
    let quoted = |text: &str| match text {
        "" => "null".to_owned(),
        text => format!("\"{text}\""),
    };
    format!(
        "2026-01-01T00:00:00.000000000Z stdout F {{\"message\":\"addresses\",\"op\":\"{op}\",\"outcome\":\"done\",\"eip\":\"u\",\"ipv4\":{},\"ipv6\":{},\"error\":null}}",
        quoted(v4),
        quoted(v6)
    )
}

fn wrong(lines: &[String]) -> Vec<String> {
    let logs = BTreeMap::from([("agent".to_owned(), lines.join("\n"))]);
    check(&logs, &BTreeMap::new())
}

const V4: &str = "192.0.2.7";
const V6: &str = "2001:db8::7";

#[test]
fn a_log_in_order_is_not_objected_to() {
    let good = [
        line("add", V4, ""),
        "2026-01-01T00:00:00Z stdout F {\"message\":\"no addresses\"}".to_owned(),
        "2026-01-01T00:00:00Z stdout P {\"message\":\"cut o".to_owned(),
        line("update", V4, V6),
        line("delete", V4, V6),
        line("add", "", V6),
    ];
    assert_eq!(wrong(&good), Vec::<String>::new());
    assert_eq!(
        wrong(&[line("delete", V4, "")]),
        Vec::<String>::new(),
        "before the process"
    );
}

/// The report that this rule is for: an IPv6 address under the key of IPv4.
#[test]
fn an_address_under_the_other_familys_key_is_objected_to() {
    let told = wrong(&[line("add", V6, "")]);
    assert!(
        told.len() == 1 && told.iter().any(|w| w.contains("ipv4 is")),
        "{told:?}"
    );
    assert_eq!(wrong(&[line("add", V6, V4)]).len(), 1);
    assert_eq!(wrong(&[line("add", "", V4)]).len(), 1);
}

#[test]
fn a_key_that_is_absent_is_objected_to() {
    for key in ["ipv4", "ipv6", "error", "outcome"] {
        let cut = line("delete", V4, V6).replace(&format!("\"{key}\""), "\"other\"");
        assert_eq!(wrong(&[cut]).len(), 1, "{key}");
    }
    let one = "stdout F {\"message\":\"agent starts\",\"ipv4\":\"192.0.2.7\"}".to_owned();
    assert_eq!(wrong(&[one]).len(), 1, "any line");
}

#[test]
fn two_ends_of_one_operation_are_objected_to() {
    let (add, update, delete) = (
        line("add", V4, ""),
        line("update", V4, ""),
        line("delete", V4, ""),
    );
    assert_eq!(wrong(&[add.clone(), add.clone()]).len(), 1);
    assert_eq!(
        wrong(&[add.clone(), delete.clone(), delete.clone()]).len(),
        1
    );
    assert_eq!(wrong(&[add.clone(), delete, update]).len(), 1);
    assert_eq!(
        wrong(&[add, line("delete", V4, V6)]).len(),
        1,
        "another address"
    );
}

#[test]
fn what_was_judged_before_counts_and_is_not_told_again() {
    let lines = [
        line("add", V4, ""),
        line("add", V4, ""),
        line("add", V4, ""),
    ];
    let logs = BTreeMap::from([("agent".to_owned(), lines.join("\n"))]);
    let from = BTreeMap::from([("agent".to_owned(), 2)]);
    assert_eq!(check(&logs, &from).len(), 1);
    assert_eq!(operations(&logs, &from), 1);
}
