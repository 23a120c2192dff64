//! Scenarios that do not hold yet. They are skipped, with the reason printed,
//! in the short form; naming one, or `--full`, runs it.

/// Name of a scenario and what is known of why it fails.
const NOT_YET: &[(&str, &str)] = &[
    (
        "a_node_that_goes_off_and_on_serves_again",
        "not yet: after the power cycle a tenant pod is Ready too late and claims stay; cause unknown",
    ),
    (
        "an_agent_killed_amid_its_commits_leaves_whole_rules",
        "not yet: a flush owed before a crash can be forgotten, and the kubelet's restart pause outlasts the Lease",
    ),
    (
        "a_thousand_eips_and_fips_by_kubectl_apply_become_ready",
        "not yet: three status writes for some objects, and superseded Trues live too long under load",
    ),
    (
        "an_object_that_is_not_accepted_says_why_and_stops_no_other",
        "not yet: its cases were corrected and have not all been seen to pass",
    ),
];

/// Why a scenario is skipped, if it is.
pub fn why(name: &str) -> Option<&'static str> {
    NOT_YET
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, why)| *why)
}
