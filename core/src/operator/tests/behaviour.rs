//! What the operator does, rule by rule.

use super::objects::*;
use super::stage::Stage;
use crate::operator::event::Kind;

#[test]
fn an_eip_and_its_fip_become_ready_and_then_nothing_is_written() {
    let mut stage = Stage::new();
    stage.apply(eip("tenants", "web", "egress"));
    stage.apply(fip("tenants", "web", "web", 5));
    stage.settle();
    assert_eq!(stage.not_ready(), Default::default());
    let status = stage.eip("tenants", "web");
    assert!(status.ipv4.is_some() && status.ipv6.is_some(), "{status:?}");
    assert_eq!(
        stage.condition(Kind::FIP, "tenants", "web", "Ready"),
        ("True".into(), "Ready".into())
    );
    assert_eq!(
        stage.condition(Kind::NATGateway, "net", "egress", "Ready"),
        ("True".into(), "Ready".into())
    );
    let writes = stage.server.writes.len();
    stage.settle();
    assert_eq!(
        stage.server.writes.len(),
        writes,
        "{:#?}",
        &stage.server.writes[writes..]
    );
    stage.restart_operator();
    stage.settle();
    assert_eq!(
        stage.server.writes.len(),
        writes,
        "{:#?}",
        &stage.server.writes[writes..]
    );
}

#[test]
fn a_deleted_gateway_and_its_pool_leave_nothing() {
    let mut stage = Stage::new();
    stage.settle();
    stage.delete(Kind::NATGateway, "net", "egress");
    stage.delete(Kind::EIPPool, "", "external");
    stage.settle();
    let from = stage.server.writes.len().saturating_sub(14);
    assert_eq!(
        stage.remains(),
        Vec::<String>::new(),
        "{:#?} now {:?} {:?}",
        &stage.server.writes[from..],
        stage.now,
        stage.operator.next_deadline(stage.now)
    );
}
