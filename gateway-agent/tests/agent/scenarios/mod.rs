//! What an agent must do, seen from outside.

mod config;
mod life;
mod report;
mod rules;
mod tenure;

use std::pin::Pin;

use crate::api_server::ApiServer;

type Scenario = for<'a> fn(&'a ApiServer) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! scenarios {
    ($($module:ident { $($name:ident),+ $(,)? })+) => {
        /// All of them, by name.
        pub const ALL: &[(&str, Scenario)] =
            &[$($((stringify!($name), |server| Box::pin($module::$name(server)))),+),+];
    };
}

scenarios!(
    life {
        a_fresh_instance_takes_the_lease_applies_announces_and_reports,
        a_killed_container_goes_on_without_a_gap,
        sigterm_of_the_container_leaves_the_kernel_alone,
        sigterm_of_the_pod_hands_over,
        an_api_server_that_is_away_changes_nothing,
        a_refused_token_stands_the_agent_down,
        a_thousand_addresses_are_active_within_two_seconds,
    }
    tenure {
        a_successor_waits_for_the_predecessor,
        a_lease_lost_to_another_withdraws_the_addresses,
        a_lease_made_anew_is_taken_at_a_higher_term,
    }
    config {
        a_header_of_an_unknown_format_is_not_followed,
        the_same_generation_with_another_digest_is_not_followed,
        a_new_header_is_followed_after_a_quorum_read,
    }
    rules {
        a_removal_is_acknowledged_after_the_second_flush,
        a_refused_entry_is_named_and_the_rest_is_applied,
        an_address_of_another_host_is_left_to_it,
        drift_is_told_then_repaired,
    }
    report {
        nothing_is_written_when_nothing_changes,
        a_report_that_was_deleted_or_overwritten_is_restored,
    }
);
