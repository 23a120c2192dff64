//! The table of packet checks on the lab: real gateway pods, and on their segments hosts
//! without a kernel in place of the lab's own.

use packet_checks::check::Check;
use packet_checks::damage::Damage;
use packet_checks::plan::{Family, Own, Segment, Setup};
use packet_checks::run::{Patience, run};
use packet_checks::table::checks;
use sluice_e2e::evidence::Harm;

use crate::failure::{Outcome, demand};
use crate::runner::Scenario;
use crate::stage::Stage;

#[path = "../../../gateway-agent/tests/rig/link.rs"]
mod link;
mod objects;
mod segments;
mod under_test;

use segments::Segments;
use under_test::UnderTest;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "packet_checks_hold_on_a_gateway_of_ipv4",
        secs: 240,
        full: true,
        run: |stage| whole(stage, &[Family::V4], Setup::TwoUplinks),
    },
    Scenario {
        name: "packet_checks_hold_on_a_gateway_of_ipv6",
        secs: 240,
        full: true,
        run: |stage| whole(stage, &[Family::V6], Setup::TwoUplinks),
    },
    Scenario {
        name: "packet_checks_hold_on_a_gateway_of_both_families",
        secs: 300,
        full: false,
        run: |stage| whole(stage, &Family::BOTH, Setup::TwoUplinks),
    },
    Scenario {
        name: "packet_checks_hold_where_the_lan_holds_the_pod_network_and_the_api_server",
        secs: 180,
        full: false,
        run: |stage| whole(stage, &Family::BOTH, Setup::Overlap),
    },
    Scenario {
        name: "packet_checks_fail_on_damaged_gateways",
        secs: 2_400,
        full: false,
        run: damaged,
    },
];

/// The links that the lab's segments give to hosts of ours; the pod network is the nodes'.
const SEGMENTS: [Segment; 3] = [Segment::Outside, Segment::Second, Segment::Inside];

/// The checks of a family that the lab can show: those without the node, and without the
/// addresses that the lab chooses for the pod. `PACKET_CHECK=TEXT` in the environment
/// leaves those with the text in their names.
fn shown(family: Family, setup: Setup) -> Vec<Check> {
    let text = std::env::var("PACKET_CHECK").unwrap_or_default();
    let strange = [Own::Uplink, Own::Second, Own::Pod].map(|own| own.address(family));
    let mut all = checks(family);
    // A second uplink changes nothing for what the usual gateway shows.
    all.retain(|check| {
        let fits =
            check.setup == setup || setup == Setup::TwoUplinks && check.setup == Setup::Usual;
        fits && check.is_within(&SEGMENTS, &strange) && check.name.contains(&text)
    });
    all
}

fn whole(stage: &mut Stage, families: &[Family], setup: Setup) -> Outcome {
    let segments = Segments::plug(stage)?;
    objects::create(stage, families, setup)?;
    let mut hosts = segments.hosts()?;
    let mut gateway = UnderTest::new(stage)?;
    let (mut failed, mut count) = (Vec::new(), 0);
    for check in families.iter().flat_map(|family| shown(*family, setup)) {
        // Some take a link from the gateway, and all that it holds.
        stage.fault(Harm::Traffic, check.name);
        count += 1;
        if let Err(why) = run(&mut hosts, &mut gateway, &check, Patience::WHOLE) {
            failed.push(format!("{:?} {}: {why}", check.family, check.name));
        }
    }
    drop((gateway, segments));
    stage.wait_all_ready(30.0)?;
    stage.tell(format!("{count} checks"));
    demand(failed.is_empty(), || failed.join("\n"))
}

/// What a check of the sample is seen to fail under: the first of each kind of damage, and
/// with `--full` each damage of each check.
fn sample(checks: Vec<Check>, full: bool) -> Vec<(Check, Damage)> {
    let mut all: Vec<(Check, Damage)> = Vec::new();
    for check in checks {
        for damage in &check.notices {
            let kind = std::mem::discriminant(damage);
            let known = |(_, other): &(_, Damage)| std::mem::discriminant(other) == kind;
            if full || !all.iter().any(known) {
                all.push((check.clone(), damage.clone()));
            }
        }
    }
    all
}

/// Takes something from a gateway whose agent is stopped; the check that names it fails.
/// Then the agent goes on, and mends it.
fn damaged(stage: &mut Stage) -> Outcome {
    let watched = ["client", "router", "node/node-a", "node/node-b"];
    for host in watched {
        // Damaged gateways leak, as they should.
        stage.look_out.detach(host);
    }
    let seen = each_damage(stage);
    for host in watched {
        stage.look_out_on(host)?;
    }
    stage.tell(format!("{} failures seen", seen?));
    Ok(())
}

/// The routes that the LAN's IPAM gave the pod would carry what a routing rule that was
/// taken out does not carry any more.
const WITHOUT_LAN_ROUTES: &str = "ip route flush root 10.244.0.0/16 table main; \
    ip -6 route flush root fd00:10:244::/64 table main";

/// Without its rule an IPv4 gateway answers this segment with an error, by the pod network,
/// where no host of the checks is. On the kernel there is one.
const TOLD_ELSEWHERE: (Family, &str) = (
    Family::V4,
    "guard: a segment of no connection and with no sense does not leave",
);

fn each_damage(stage: &Stage) -> Outcome<usize> {
    let families = Family::BOTH;
    let segments = Segments::plug(stage)?;
    objects::create(stage, &families, Setup::TwoUplinks)?;
    crate::gateway::share_tables(stage)?;
    stage.wait_all_ready(30.0)?;
    let mut hosts = segments.hosts()?;
    let mut gateway = UnderTest::new(stage)?;
    gateway.damage(WITHOUT_LAN_ROUTES)?;
    let (mut wrong, mut count) = (Vec::new(), 0);
    for family in families {
        let mut checks = shown(family, Setup::TwoUplinks);
        checks.retain(|check| (family, check.name) != TOLD_ELSEWHERE);
        for (check, damage) in sample(checks, stage.full) {
            stage.fault(Harm::Traffic, format!("{damage:?}"));
            gateway.freeze()?;
            // Flows of the check's run on the whole gateway would be translated all the same.
            gateway.damage("conntrack -F 2>/dev/null")?;
            if let Err(why) = gateway.damage(&damage.script(family)) {
                wrong.push(format!("{damage:?} cannot be done: {why}"));
            }
            match run(&mut hosts, &mut gateway, &check, Patience::DAMAGED) {
                Ok(()) => wrong.push(format!(
                    "{family:?}: {damage:?} is not noticed by: {}",
                    check.name
                )),
                Err(_) => count += 1,
            }
            if let Some(undo) = damage.undo(family) {
                gateway.damage(&undo)?;
            }
            gateway.thaw()?;
        }
    }
    drop((gateway, segments));
    stage.wait_all_ready(30.0)?;
    demand(wrong.is_empty(), || wrong.join("\n"))?;
    Ok(count)
}
