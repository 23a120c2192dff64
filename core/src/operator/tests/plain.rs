//! What stands in the way is told where a user looks.

use sluice_crds::internal::UnusableAddress;

use super::objects::*;
use super::stage::Stage;
use crate::entry::Entry;
use crate::operator::action::{Action, Outcome};
use crate::operator::event::{Kind, Object};

fn message(stage: &Stage, kind: Kind, namespace: &str, name: &str, which: &str) -> String {
    let object = stage.server.get(kind, &key(namespace, name)).unwrap();
    let all = super::server::conditions(object);
    let one = all.iter().find(|c| c.type_ == which);
    one.map(|c| c.message.clone()).unwrap_or_default()
}

#[test]
fn an_address_that_another_host_has_is_a_conflict_and_not_the_kernels_refusal() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let address = stage.eip("tenants", "web").ipv4.unwrap();
    let agent = &mut stage.agents[0];
    let withheld = agent.kernel.iter().find(|line| line.contains(&address));
    let withheld: Entry = withheld.unwrap().parse().unwrap();
    agent.refuses.insert(withheld.key());
    agent.unusable = vec![UnusableAddress {
        address: address.clone(),
        reason: "AddressConflict".into(),
        message: "02:00:00:00:00:09 answers for it: free it there".into(),
    }];
    stage.settle();
    for which in ["Programmed", "Ready"] {
        let condition = stage.condition(Kind::EIP, "tenants", "web", which);
        assert_eq!(condition, ("False".into(), "AddressConflict".into()));
        let words = message(&stage, Kind::EIP, "tenants", "web", which);
        assert!(
            words.contains(&address) && words.contains("free it there"),
            "{words}"
        );
    }
}

#[test]
fn a_pool_whose_ranges_moved_is_not_exhausted_by_what_is_outside_them() {
    let mut stage = Stage::new();
    let pool = (Kind::EIPPool, None, key("", "external"));
    let ranges = |stage: &mut Stage, text: &str| {
        let text = text.to_owned();
        stage.server.change(&pool, true, |o| {
            if let Object::EIPPool(pool) = o {
                pool.spec.subnets[0].ranges = vec![text];
            }
        });
        stage.settle();
    };
    ranges(&mut stage, "10.155.30.200-10.155.30.201");
    for name in ["a", "b"] {
        stage.apply(eip("tenants", name, "egress"));
    }
    stage.settle();
    let exhausted = |stage: &Stage| {
        stage
            .condition(Kind::EIPPool, "", "external", "Exhausted")
            .0
    };
    assert_eq!(exhausted(&stage), "True");
    ranges(&mut stage, "10.155.30.210-10.155.30.211");
    assert_eq!(exhausted(&stage), "False", "both of the new range are free");
    stage.apply(eip("tenants", "c", "egress"));
    stage.settle();
    assert!(stage.eip("tenants", "c").ipv4.is_some());
}

#[test]
fn a_second_way_out_of_an_uplink_is_refused_and_the_first_stays() {
    let mut stage = Stage::new();
    let mut other = pool("aaa");
    if let Object::EIPPool(pool) = &mut other {
        pool.spec.subnets.truncate(1);
        pool.spec.subnets[0].cidr = "10.1.0.0/24".into();
        pool.spec.subnets[0].gateway = Some("10.1.0.1".into());
        pool.spec.subnets[0].ranges = vec!["10.1.0.8/29".into()];
    }
    stage.apply(other);
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let gateway = (Kind::NATGateway, None, key("net", "egress"));
    stage.server.change(&gateway, true, |o| {
        if let Object::NATGateway(gateway) = o {
            gateway.spec.uplinks[0].pools.push("aaa".into());
        }
    });
    stage.settle();
    let accepted = stage.condition(Kind::NATGateway, "net", "egress", "Accepted");
    assert_eq!(accepted, ("False".into(), "Conflict".into()));
    let words = message(&stage, Kind::NATGateway, "net", "egress", "Accepted");
    for part in ["external", "10.155.30.1", "aaa", "10.1.0.1"] {
        assert!(words.contains(part), "{words}");
    }
    let Some(Object::GatewayConfig(header)) = stage.server.get(Kind::GatewayConfig, &gateway.2)
    else {
        panic!("no header");
    };
    let subnets = &header.spec.settings.uplinks[0].subnets;
    let ways: Vec<_> = subnets
        .iter()
        .filter_map(|s| s.gateway.as_deref())
        .collect();
    assert_eq!(ways, ["10.155.30.1", "2001:db8:1::1"]);
    let ready = stage.condition(Kind::EIP, "tenants", "web", "Ready");
    assert_eq!(ready.0, "True", "traffic goes on");
}

#[test]
fn what_the_api_server_refuses_is_told_on_the_gateway_until_it_is_done() {
    let mut stage = Stage::bare();
    stage.apply(pool("external"));
    stage.apply(gateway("net", "egress", "net/lan"));
    let words = |stage: &Stage| message(stage, Kind::NATGateway, "net", "egress", "Programmed");
    // The Deployment is refused, again and again.
    let refuse = |stage: &mut Stage| {
        stage.deliver_all();
        stage.poll();
        let is_child = |a: &Action| matches!(a, Action::EnsureChild { .. });
        while let Some(place) = stage.in_flight.iter().position(is_child) {
            let target = stage.in_flight.remove(place).target().unwrap();
            let why = Outcome::Refused("Deployment sluice-egress is invalid".into());
            stage.operator.done(&target, &why, stage.now);
        }
        while stage.execute(0, super::stage::Fate::Done) {}
        stage.now.0 += 100;
    };
    for _ in 0..40 {
        refuse(&mut stage);
    }
    assert!(
        words(&stage).ends_with("refused by the API server: Deployment sluice-egress is invalid"),
        "{}",
        words(&stage)
    );
    stage.now.0 += 60_000;
    stage.settle();
    assert!(!words(&stage).contains("refused"), "{}", words(&stage));
}

#[test]
fn a_holder_is_said_to_hold_since_a_whole_second_as_a_status_can_say_it() {
    let mut stage = Stage::new();
    stage.settle();
    let name = key("net", "sluice-egress");
    let Some(Object::Lease(lease)) = stage.server.get(Kind::Lease, &name) else {
        panic!("no Lease");
    };
    let mut lease = lease.clone();
    lease.acquire_time = "2026-01-02T03:04:05.678901Z".into();
    stage.server.set_lease(lease);
    stage.settle();
    // Whatever else of the gateway's changes is when it is looked at anew.
    stage.restart_operator();
    stage.settle();
    let Some(Object::NATGateway(gateway)) =
        stage.server.get(Kind::NATGateway, &key("net", "egress"))
    else {
        panic!("no gateway");
    };
    let holder = gateway.status.as_ref().unwrap().holder.as_ref().unwrap();
    let since = &holder.since.as_ref().unwrap().0;
    assert_eq!(since.to_string(), "2026-01-02T03:04:05Z");
}

#[test]
fn a_rule_is_not_ready_by_an_eip_that_the_kernel_refuses() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.settle();
    let lines: Vec<Entry> = stage.agents[0]
        .kernel
        .iter()
        .map(|line| line.parse().unwrap())
        .collect();
    let address = stage.eip("tenants", "web").ipv4.unwrap();
    let of_the_eip = lines.iter().find(|e| e.to_string().contains(&address));
    stage.agents[0].refuses.insert(of_the_eip.unwrap().key());
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    let said = |which: &str| stage.condition(Kind::FIP, "tenants", "web", which);
    assert_eq!(said("Programmed").0, "True");
    assert_eq!(said("Ready"), ("False".into(), "AddressNotUsable".into()));
}
