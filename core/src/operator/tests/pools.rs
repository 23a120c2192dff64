//! Pools that go, that are exhausted in one family, and what rests.

use sluice_crds::AddressClaim;
use sluice_crds::user::{EIPPoolSpec, LabelSelectorTerm, NamespacesFrom, NamespacesFromKind};

use super::objects::*;
use super::stage::{Fate, Stage};
use crate::operator::event::{Kind, Object};

fn claims(stage: &Stage) -> Vec<&AddressClaim> {
    stage
        .server
        .all(Kind::AddressClaim)
        .filter_map(|o| match o {
            Object::AddressClaim(c) if !c.spec.pool.is_empty() => Some(c),
            _ => None,
        })
        .collect()
}

fn change(stage: &mut Stage, by: impl Fn(&mut EIPPoolSpec)) {
    stage
        .server
        .change(&(Kind::EIPPool, None, key("", "external")), true, |o| {
            if let Object::EIPPool(pool) = o {
                by(&mut pool.spec);
            }
        });
    stage.settle();
}

fn slow_pool(stage: &mut Stage) {
    change(stage, |spec| spec.cooldown = "600s".into());
}

fn accepted(stage: &Stage, name: &str) -> (String, String) {
    stage.condition(Kind::EIP, "tenants", name, "Accepted")
}

#[test]
fn a_deleted_pool_takes_its_resting_claims_with_it() {
    let mut stage = Stage::new();
    slow_pool(&mut stage);
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    stage.delete(Kind::EIP, "tenants", "web");
    stage.settle();
    assert_eq!(claims(&stage).len(), 2, "they rest for ten minutes");
    let began = stage.now;
    stage.delete(Kind::EIPPool, "", "external");
    stage.settle();
    assert!(!stage.exists(Kind::EIPPool, "", "external"));
    assert_eq!(claims(&stage), Vec::<&AddressClaim>::new());
    assert!(stage.now.0 - began.0 < 60_000);
}

#[test]
fn a_pool_that_is_being_deleted_hands_out_nothing_new() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "old", "egress"));
    stage.settle();
    stage.delete(Kind::EIPPool, "", "external");
    stage.apply(eip("tenants", "new", "egress"));
    stage.settle();
    let refused = ("False".to_owned(), "PoolTerminating".to_owned());
    assert_eq!(accepted(&stage, "new"), refused);
    assert_eq!(stage.eip("tenants", "new").ipv4, None);
    assert_eq!(accepted(&stage, "old").0, "True");
    // Nor does a new EIP of that name inherit the old one's.
    stage.delete(Kind::EIP, "tenants", "old");
    for _ in 0..400 {
        stage.deliver_all();
        stage.poll();
        stage.execute(0, Fate::Done);
        stage.agent_round();
        stage.now.0 += 1;
        if !stage.exists(Kind::EIP, "tenants", "old") {
            break;
        }
    }
    stage.apply(eip("tenants", "old", "egress"));
    stage.settle();
    assert_eq!(claims(&stage), Vec::<&AddressClaim>::new());
    assert!(!stage.exists(Kind::EIPPool, "", "external"));
}

#[test]
fn of_both_families_an_eip_gets_both_or_none() {
    let mut stage = Stage::new();
    stage
        .server
        .change(&(Kind::EIPPool, None, key("", "external")), true, |o| {
            if let Object::EIPPool(pool) = o {
                pool.spec.subnets[1].ranges = vec!["2001:db8:1::e:1-2001:db8:1::e:2".into()];
            }
        });
    stage.settle();
    for name in ["a", "b", "c"] {
        stage.apply(eip("tenants", name, "egress"));
    }
    stage.settle();
    let refused: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .filter(|n| accepted(&stage, n) == ("False".into(), "PoolExhausted".into()))
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(stage.eip("tenants", refused[0]).ipv4, None);
    stage.now.0 += 5_000;
    stage.settle();
    assert_eq!(claims(&stage).len(), 4, "two EIPs with two addresses");
    // What is freed is taken up.
    let winner = ["a", "b", "c"]
        .into_iter()
        .find(|n| *n != refused[0])
        .unwrap();
    stage.delete(Kind::EIP, "tenants", winner);
    stage.settle();
    let served = stage.eip("tenants", refused[0]);
    assert!(served.ipv4.is_some() && served.ipv6.is_some(), "{served:?}");
}

#[test]
fn an_eip_whose_second_address_another_was_faster_to_take_gives_the_first_back() {
    let mut stage = Stage::new();
    stage
        .server
        .change(&(Kind::EIPPool, None, key("", "external")), true, |o| {
            if let Object::EIPPool(pool) = o {
                pool.spec.subnets[1].ranges = vec!["2001:db8:1::e:1".into()];
            }
        });
    stage.settle();
    stage.apply(eip("tenants", "late", "egress"));
    stage.deliver_all();
    stage.poll();
    // Somebody else takes the only IPv6 address before the claim gets there.
    let taken = stage.in_flight.iter().find_map(|a| match a {
        crate::operator::action::Action::CreateClaim(c) if c.spec.address.contains(':') => {
            Some(c.clone())
        }
        _ => None,
    });
    let mut taken = taken.unwrap();
    taken.spec.owner.uid = "eip-other".into();
    taken.spec.owner.name = "other".into();
    let mut other = eip("tenants", "other", "egress");
    if let Object::EIP(o) = &mut other {
        o.metadata.uid = Some("eip-other".into());
    }
    stage.server.create(other);
    let uid = stage
        .server
        .get(Kind::EIP, &key("tenants", "other"))
        .unwrap();
    taken.spec.owner.uid = uid.identity().2.to_string();
    stage.server.create(Object::AddressClaim(taken));
    stage.settle();
    stage.now.0 += 5_000;
    stage.settle();
    assert_eq!(accepted(&stage, "late").1, "PoolExhausted");
    assert_eq!(stage.eip("tenants", "late").ipv4, None);
    assert_eq!(claims(&stage).len(), 2);
    assert_eq!(accepted(&stage, "other").0, "True");
}

/// Changes the pool's spec.
#[test]
fn a_pool_that_allows_a_namespace_no_more_is_obeyed_at_once() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let had = stage.eip("tenants", "web");
    assert_eq!(accepted(&stage, "web").0, "True");
    let labels = [("external".to_owned(), "yes".to_owned())];
    let selected = NamespacesFrom {
        from: NamespacesFromKind::Selector,
        selector: Some(LabelSelectorTerm {
            match_labels: labels.into(),
        }),
    };
    change(&mut stage, |spec| {
        spec.allowed_namespaces = Some(selected.clone());
    });
    let refused = ("False".to_owned(), "NotAllowed".to_owned());
    assert_eq!(accepted(&stage, "web"), refused);
    change(&mut stage, |spec| spec.allowed_namespaces = None);
    assert_eq!(accepted(&stage, "web").0, "True");
    assert_eq!(stage.eip("tenants", "web").ipv4, had.ipv4);
}

#[test]
fn a_next_hop_that_changes_alone_reaches_the_gateway() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    for hop in ["fe80::1", "fe80::2"] {
        change(&mut stage, |spec| {
            for subnet in spec.subnets.iter_mut().filter(|s| s.cidr.contains(':')) {
                subnet.gateway = Some(hop.into());
            }
        });
        let hops: Vec<Option<String>> = stage
            .server
            .all(Kind::GatewayConfig)
            .filter_map(|o| match o {
                Object::GatewayConfig(config) => Some(&config.spec.settings.uplinks),
                _ => None,
            })
            .flatten()
            .flat_map(|uplink| &uplink.subnets)
            .filter(|s| s.cidr.contains(':'))
            .map(|s| s.gateway.clone())
            .collect();
        assert_eq!(hops, [Some(hop.to_owned())]);
    }
}

#[test]
fn gateway_and_pool_name_those_that_use_them() {
    let mut stage = Stage::new();
    for n in 0..7 {
        stage.apply(eip("tenants", &format!("e-{n}"), "egress"));
    }
    stage.settle();
    stage.now.0 += 5_000;
    stage.settle();
    let used_by = |stage: &Stage| {
        let gateway = match stage.server.get(Kind::NATGateway, &key("net", "egress")) {
            Some(Object::NATGateway(gateway)) => gateway.status.clone().unwrap().used_by,
            _ => panic!("no gateway"),
        };
        let pool = match stage.server.get(Kind::EIPPool, &key("", "external")) {
            Some(Object::EIPPool(pool)) => pool.status.clone().unwrap().used_by,
            _ => panic!("no pool"),
        };
        (gateway, pool)
    };
    let (gateway, pool) = used_by(&stage);
    let first: Vec<String> = (0..5).map(|n| format!("tenants/e-{n}")).collect();
    assert_eq!(gateway, first);
    assert_eq!(
        pool.len(),
        5,
        "each once, though it has two addresses: {pool:?}"
    );
    for n in 0..7 {
        stage.delete(Kind::EIP, "tenants", &format!("e-{n}"));
    }
    stage.settle();
    stage.now.0 += 5_000;
    stage.settle();
    // A claim that cools down is no user.
    assert_eq!(used_by(&stage), (Vec::new(), Vec::new()));
}

#[test]
fn an_address_is_not_freed_before_kernels_have_let_it_go_although_its_eip_is_gone() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let bound: Vec<AddressClaim> = claims(&stage).into_iter().cloned().collect();
    assert_eq!(bound.len(), 2);
    // A person has taken the finalizer off; the gateway's pod says nothing.
    stage.agents[0].running = false;
    let slot = (Kind::EIP, None, key("tenants", "web"));
    stage.server.change(&slot, false, |o| {
        if let Object::EIP(eip) = o {
            eip.metadata.finalizers = None;
        }
    });
    stage.server.delete(&slot);
    assert!(!stage.exists(Kind::EIP, "tenants", "web"));
    for _ in 0..50 {
        stage.deliver_all();
        stage.poll();
        while stage.execute(0, Fate::Done) {}
        stage.cluster();
        stage.now.0 += 100;
    }
    let now: Vec<AddressClaim> = claims(&stage).into_iter().cloned().collect();
    assert_eq!(now, bound);
    stage.agents[0].running = true;
    stage.settle();
    assert_ne!(claims(&stage), bound.iter().collect::<Vec<_>>());
}

#[test]
fn who_has_an_address_is_told_within_the_namespace_only() {
    let mut stage = Stage::new();
    stage.apply(eip_with(
        "tenants",
        "first",
        "egress",
        serde_json::json!({"addresses": ["10.155.30.203"], "ipFamilyPolicy": "SingleStack"}),
    ));
    stage.settle();
    for namespace in ["tenants", "net"] {
        stage.apply(eip_with(
            namespace,
            "second",
            "egress",
            serde_json::json!({"addresses": ["10.155.30.203"], "ipFamilyPolicy": "SingleStack"}),
        ));
        stage.settle();
        let reason = stage.condition(Kind::EIP, namespace, "second", "Accepted");
        assert_eq!(reason, ("False".to_owned(), "AddressInUse".to_owned()));
        let words = stage.message(Kind::EIP, namespace, "second", "Accepted");
        assert_eq!(words.contains("first"), namespace == "tenants", "{words}");
    }
}

#[test]
fn two_gateways_cannot_have_one_inside_address() {
    let mut stage = Stage::new();
    stage.settle();
    // Its LAN is the first gateway's.
    stage.apply(gateway("net", "second", "net/lan"));
    stage.settle();
    let accepted =
        |stage: &Stage, name: &str| stage.condition(Kind::NATGateway, "net", name, "Accepted");
    let refused = ("False".to_owned(), "AddressInUse".to_owned());
    assert_eq!(accepted(&stage, "egress").0, "True");
    assert_eq!(accepted(&stage, "second"), refused);
    let words = stage.message(Kind::NATGateway, "net", "second", "Accepted");
    assert!(words.contains("NATGateway net/egress"), "{words}");
    // When the first has gone, the second has it; and one that is made anew in its place.
    stage.delete(Kind::NATGateway, "net", "egress");
    stage.settle();
    stage.now.0 += 120_000;
    stage.settle();
    assert_eq!(accepted(&stage, "second").0, "True");
    stage.apply(gateway("net", "egress", "net/lan"));
    stage.settle();
    assert_eq!(accepted(&stage, "egress"), refused);
    stage.delete(Kind::NATGateway, "net", "second");
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    stage.now.0 += 120_000;
    stage.settle();
    assert_eq!(accepted(&stage, "egress").0, "True");
    assert_eq!(stage.not_ready(), Default::default());
}
