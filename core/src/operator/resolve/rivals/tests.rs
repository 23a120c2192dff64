//! What stands in a rule's way, against a look at every older one.

use proptest::prelude::*;
use sluice_crds::address::{DualAddress, parse_hosts};

use super::*;

fn inside() -> DualAddress {
    parse_hosts(&["10.244.0.5".to_owned()]).unwrap()
}

fn ask() -> impl Strategy<Value = Ask> {
    use Protocol::{SCTP, TCP, UDP};
    let protocols = prop::sample::select(vec![
        vec![TCP],
        vec![UDP],
        vec![TCP, UDP],
        vec![SCTP],
        vec![UDP, SCTP],
    ]);
    let few =
        (1..40u16, 0..6u16).prop_map(|(first, more)| Ports::new(first, first + more).unwrap());
    let ports = prop_oneof![20 => few, 1 => Just(Ports::ALL)];
    let dnat = (protocols, ports).prop_map(|(protocols, ports)| {
        Ask::Dnat(Forward {
            protocols,
            ports,
            target_ports: ports,
            hosts: vec![(inside(), 1)],
        })
    });
    prop_oneof![30 => dnat, 1 => Just(Ask::Fip(inside()))]
}

fn collide(one: &Ask, other: &Ask) -> bool {
    match (one, other) {
        (
            Ask::Dnat(Forward {
                protocols, ports, ..
            }),
            Ask::Dnat(Forward {
                protocols: others,
                ports: taken,
                ..
            }),
        ) => ports.overlaps(*taken) && protocols.iter().any(|p| others.contains(p)),
        _ => true,
    }
}

proptest! {
    #[test]
    fn a_rule_is_refused_for_the_oldest_that_it_collides_with(
        asks in prop::collection::vec(ask(), 1..30),
    ) {
        let mut taken = Taken::default();
        let mut accepted: Vec<(String, &Ask)> = Vec::new();
        for (n, ask) in asks.iter().enumerate() {
            let name = format!("r{n:02}");
            let key = Key { namespace: "tenants".into(), name: name.clone() };
            let told = taken.take(&key, ask).map_err(|refusal| refusal.message);
            match accepted.iter().find(|(_, other)| collide(ask, other)) {
                None => {
                    prop_assert_eq!(told, Ok(()));
                    accepted.push((name, ask));
                }
                Some((older, _)) => {
                    let message = told.unwrap_err();
                    prop_assert!(message.contains(&format!(" tenants/{older}")), "{} {}", older, message);
                }
            }
        }
    }
}
