//! Rules whose EIP lacks an address of a family.

use serde_json::json;

use super::objects::*;
use super::stage::Stage;
use crate::operator::event::{Kind, Object};

fn ranges(stage: &mut Stage, ranges: &[&str]) {
    let pool = (Kind::EIPPool, None, key("", "external"));
    stage.server.change(&pool, true, |o| {
        if let Object::EIPPool(pool) = o {
            pool.spec.subnets[1].ranges = ranges.iter().map(|r| (*r).to_owned()).collect();
        }
    });
    stage.settle();
}

fn rule(stage: &Stage, kind: Kind, name: &str) -> [(String, String); 2] {
    ["Programmed", "Ready"].map(|c| stage.condition(kind, "tenants", name, c))
}

fn said(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_rule_is_ready_only_where_its_eip_has_every_family_that_it_asks() {
    let mut stage = Stage::new();
    ranges(&mut stage, &["2001:db8:1::e:1"]);
    stage.apply(eip("tenants", "first", "egress"));
    stage.settle();
    let prefer = json!({"ipFamilyPolicy": "PreferDualStack"});
    stage.apply(eip_with("tenants", "second", "egress", prefer));
    stage.apply(fip("tenants", "both", "second", 5));
    stage.settle();
    let second = stage.eip("tenants", "second");
    assert!(second.ipv4.is_some() && second.ipv6.is_none(), "{second:?}");
    let eip = stage.condition(Kind::EIP, "tenants", "second", "Ready");
    assert_eq!(eip.0, "True", "what it has works");
    let lacking = [
        said("False", "PoolExhausted"),
        said("False", "NotProgrammed"),
    ];
    assert_eq!(rule(&stage, Kind::FIP, "both"), lacking);
    let is_fip = |line: &&String| line.starts_with("fip ");
    assert_eq!(stage.agents[0].kernel.iter().filter(is_fip).count(), 1);
    // A rule of the lacking family alone says so, too.
    stage.apply(eip_with(
        "tenants",
        "third",
        "egress",
        json!({"ipFamilyPolicy": "PreferDualStack"}),
    ));
    stage.apply(snat("tenants", "six", "third", "fd00:10:244::/64"));
    stage.settle();
    assert_eq!(rule(&stage, Kind::SNAT, "six"), lacking);
    // The pool grows.
    ranges(&mut stage, &["2001:db8:1::e:1-2001:db8:1::e:9"]);
    stage.now.0 += 5_000;
    stage.settle();
    let whole = [said("True", "Programmed"), said("True", "Ready")];
    assert_eq!(rule(&stage, Kind::FIP, "both"), whole);
    assert_eq!(rule(&stage, Kind::SNAT, "six"), whole);
}
