//! Queries.

use super::*;

#[test]
fn queries_are_escaped() {
    assert_eq!(escape("sluice.dev/gateway-uid"), "sluice.dev%2Fgateway-uid");
    assert_eq!(escape("a b&c=d"), "a%20b%26c%3Dd");
}

#[test]
fn only_labelled_kinds_are_selected_by_label() {
    for kind in [Kind::Pod, Kind::Lease, Kind::Child] {
        for resource in Resource::of(kind) {
            assert_eq!(
                selector(&resource),
                "labelSelector=sluice.dev%2Fgateway-uid",
                "{kind:?}"
            );
        }
    }
    assert_eq!(selector(&Resource::of(Kind::EIP)[0]), "");
}
