//! Room in a gateway's maps.

use proptest::prelude::*;
use sluice_crds::DNAT;

use super::objects::*;
use super::stage::Stage;
use crate::entry::Entry;
use crate::entry::cost::EXPANDED_MAX;
use crate::operator::event::{Kind, Object};

/// DNATs of TCP and UDP, each with ports of its own: 0, nothing, to 9, which are 9,000
/// shifted ports of both protocols and both families: 36,000 elements.
fn wide(n: usize, thousands: u32) -> Object {
    let first = 10_000 * u32::try_from(n % 6).unwrap() + 1;
    let last = first + (1_000 * thousands).max(1) - 1;
    let dnat: DNAT = serde_json::from_value(serde_json::json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "DNAT",
        "metadata": {"namespace": "tenants", "name": name(n)},
        "spec": {
            "eip": {"name": eip_of(n)}, "protocols": ["TCP", "UDP"],
            "ports": format!("{first}-{last}"), "targetPorts": format!("{}-{}", first + 1, last + 1),
            "targets": [{"ips": ["10.244.0.9", "fd00:10:244::9"]}],
        },
    }))
    .unwrap();
    Object::DNAT(dnat)
}

fn name(n: usize) -> String {
    format!("d{n}")
}

fn eip_of(n: usize) -> &'static str {
    if n < 6 { "one" } else { "two" }
}

/// Which DNATs have room: the oldest first, and a smaller one behind one that does not fit.
fn fitting(stage: &Stage) -> Vec<(String, bool)> {
    let mut dnats: Vec<(String, String, u32)> = stage
        .server
        .all(Kind::DNAT)
        .filter_map(|object| match object {
            Object::DNAT(dnat) => {
                let ports = sluice_crds::user::Ports::from_field(&dnat.spec.ports)?.count();
                let need = if ports == 1 { 0 } else { 4 * ports };
                let made = dnat.metadata.creation_timestamp.as_ref();
                Some((made?.0.to_string(), dnat.metadata.name.clone()?, need))
            }
            _ => None,
        })
        .collect();
    dnats.sort();
    let mut used = 0;
    dnats
        .into_iter()
        .map(|(_, name, need)| {
            let fits = used + need <= EXPANDED_MAX;
            used += if fits { need } else { 0 };
            (name, fits)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_oldest_that_fit_have_the_room_whatever_comes_and_goes(
        steps in prop::collection::vec((0..12_usize, 0..10_u32, 0..4_u8), 1..12),
    ) {
        let mut stage = Stage::new();
        for eip_name in ["one", "two"] {
            stage.apply(eip("tenants", eip_name, "egress"));
        }
        stage.settle();
        for (n, thousands, what) in steps {
            let wanted = wide(n, thousands);
            let exists = stage.exists(Kind::DNAT, "tenants", &name(n));
            match (what, wanted) {
                (0, _) => drop(stage.delete(Kind::DNAT, "tenants", &name(n))),
                (_, Object::DNAT(new)) if exists => {
                    let slot = (Kind::DNAT, None, key("tenants", &name(n)));
                    stage.server.change(&slot, true, |old| {
                        if let Object::DNAT(old) = old {
                            old.spec = new.spec;
                        }
                    });
                }
                (_, wanted) => stage.apply(wanted),
            }
            stage.settle();
            for (name, fits) in fitting(&stage) {
                let told = stage.condition(Kind::DNAT, "tenants", &name, "Accepted");
                let expected = if fits { ("True", "Accepted") } else { ("False", "TooLarge") };
                prop_assert_eq!((told.0.as_str(), told.1.as_str()), expected, "{}", name);
            }
            let kernels = stage.agents.iter().flat_map(|agent| &agent.kernel);
            let used: u32 = kernels.map(|line| line.parse::<Entry>().unwrap().body.expanded()).sum();
            prop_assert!(used <= EXPANDED_MAX, "{} elements", used);
        }
    }
}
