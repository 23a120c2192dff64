//! Random schedules: users, operator, agents, kubelet and faults take turns in
//! any order. [`Stage::check`] runs after each step; in the end everything must
//! be Ready, quiet, and go without a trace.

use proptest::prelude::*;

use super::objects::*;
use super::stage::{Fate, Stage};
use crate::operator::event::{Attached, Key, Kind, Object};

const EIPS: [&str; 4] = ["a", "b", "c", "d"];

/// One turn.
#[derive(Clone, Debug)]
enum Turn {
    /// Events of one kind reach the operator.
    Deliver(usize, usize),
    /// An old event comes again.
    Repeat(usize, usize),
    /// A watch breaks.
    Break(usize),
    /// A watch lists anew.
    Relist(usize),
    Poll,
    Execute(usize, Fate),
    /// The operator dies between two writes.
    Crash,
    Agent(usize, usize),
    Cluster,
    Tick(u64),
    Create(usize, usize),
    Delete(usize, usize),
    Move(usize, usize),
    /// The process of an agent is stopped, or goes on.
    Freeze(usize, bool),
    KillPod(bool),
    Reboot(usize),
    Refuse(usize),
    DeletePool,
    Upgrade(u8),
    /// A Pod comes, changes or goes.
    Pod(usize, u8),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Done),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::Lost),
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        30 => (0..Kind::ALL.len(), 1usize..20).prop_map(|(k, n)| Turn::Deliver(k, n)),
        2 => (0..Kind::ALL.len(), 0usize..6).prop_map(|(k, n)| Turn::Repeat(k, n)),
        1 => (0..Kind::ALL.len()).prop_map(Turn::Break),
        1 => (0..Kind::ALL.len()).prop_map(Turn::Relist),
        20 => Just(Turn::Poll),
        30 => (0usize..50, fate()).prop_map(|(n, f)| Turn::Execute(n, f)),
        1 => Just(Turn::Crash),
        24 => (0usize..4, 0usize..4).prop_map(|(n, s)| Turn::Agent(n, s)),
        6 => Just(Turn::Cluster),
        6 => (1u64..700).prop_map(Turn::Tick),
        8 => (0usize..7, 0..EIPS.len()).prop_map(|(w, n)| Turn::Create(w, n)),
        4 => (0usize..7, 0..EIPS.len()).prop_map(|(w, n)| Turn::Delete(w, n)),
        3 => (0..EIPS.len(), 0usize..2).prop_map(|(n, g)| Turn::Move(n, g)),
        1 => (0usize..4, any::<bool>()).prop_map(|(n, f)| Turn::Freeze(n, f)),
        1 => any::<bool>().prop_map(Turn::KillPod),
        1 => (0usize..2).prop_map(Turn::Reboot),
        1 => (0..EIPS.len()).prop_map(Turn::Refuse),
        1 => Just(Turn::DeletePool),
        1 => (0u8..3).prop_map(Turn::Upgrade),
        6 => (0..EIPS.len(), 0u8..6).prop_map(|(n, how)| Turn::Pod(n, how)),
    ]
}

const GATEWAYS: [&str; 2] = ["egress", "second"];

fn object(what: usize, n: usize) -> Object {
    let name = EIPS[n];
    match what {
        0 | 4 => eip("tenants", name, GATEWAYS[n / 3]),
        1 => fip("tenants", name, name, 5),
        2 => dnat("tenants", name, name, &format!("{}", 8000 + n)),
        5 => fip_of_pod("tenants", &format!("{name}-pod"), name, name),
        // Each its own Pod, whose name is its label, and one that all of them select.
        6 => snat_of_pods(
            "tenants",
            &format!("{name}-pods"),
            name,
            serde_json::json!({"podSelector": {"matchExpressions": [
                {"key": "app", "operator": "In", "values": [name, "shared"]}]}}),
        ),
        // Every other one shares its sources with the next EIP, of its gateway or not.
        _ if n.is_multiple_of(2) => {
            let source = format!("10.244.{}.0/24", n / 2);
            snat_of("tenants", name, &[name, EIPS[n + 1]], &[&source])
        }
        _ => snat("tenants", name, name, &format!("10.244.{}.0/24", n / 2)),
    }
}

fn kind_of(what: usize) -> Kind {
    match what {
        0 | 4 => Kind::EIP,
        1 | 5 => Kind::FIP,
        2 => Kind::DNAT,
        _ => Kind::SNAT,
    }
}

/// A Pod comes, gets other addresses or none, ends or goes.
fn turn_pod(stage: &mut Stage, n: usize, how: u8) {
    let name = EIPS[n];
    let slot = (Kind::InsidePod, None, key("tenants", name));
    let lan = [
        format!("10.244.9.1{how}{n}"),
        format!("fd00:10:244::9:{how}{n}"),
    ];
    let lan: Vec<&str> = lan
        .iter()
        .take(1 + usize::from(how % 2))
        .map(|a| &**a)
        .collect();
    let mut facts = inside_pod("tenants", name, if how == 4 { &[] } else { &lan });
    // On the LANs of both gateways.
    if let Some(lan) = facts.attached.get(1).cloned() {
        let network = "net/lan2".to_owned();
        facts.attached.push(Attached { network, ..lan });
    }
    if how == 5 {
        stage.server.delete(&slot);
    } else if !stage.server.create(Object::InsidePod(facts.clone())) {
        stage.server.change(&slot, false, |o| {
            if let Object::InsidePod(pod) = o {
                pod.attached = facts.attached;
                pod.over = how == 3;
            }
        });
    }
}

/// Every Pod is there, and no kernel translates to any address but theirs.
fn check_pods(stage: &Stage) {
    for object in stage.server.all(Kind::FIP) {
        let Object::FIP(fip) = object else { continue };
        let Some(pod) = &fip.spec.target.pod else {
            continue;
        };
        let (_, name, uid) = object.identity();
        if stage.condition(Kind::FIP, "tenants", &name.name, "Ready").0 != "True" {
            continue;
        }
        let Some(Object::InsidePod(pod)) = stage
            .server
            .get(Kind::InsidePod, &key("tenants", &pod.name))
        else {
            panic!("{name:?} is Ready without its Pod");
        };
        let wanted: Vec<String> = pod.attached[1]
            .addresses
            .iter()
            .map(|a| a.to_string())
            .collect();
        let mut has: Vec<String> = stage
            .agents
            .iter()
            .filter(|a| a.running)
            .flat_map(|a| &a.kernel)
            .filter(|line| line.starts_with(&format!("fip {uid} ")))
            .map(|line| line.split(' ').nth(4).unwrap().to_owned())
            .collect();
        has.sort_unstable();
        assert_eq!(has, wanted, "{name:?}");
    }
}

fn take(stage: &mut Stage, turn: &Turn) {
    match turn {
        Turn::Deliver(kind, n) => {
            stage.deliver(Kind::ALL[*kind], *n);
        }
        Turn::Repeat(kind, n) => stage.repeat(Kind::ALL[*kind], *n),
        Turn::Break(kind) => stage.break_watch(Kind::ALL[*kind]),
        Turn::Relist(kind) => stage.relist(Kind::ALL[*kind]),
        Turn::Poll => {
            stage.poll();
        }
        Turn::Execute(n, fate) => {
            stage.execute(*n, *fate);
        }
        Turn::Crash => stage.restart_operator(),
        Turn::Agent(n, step) => stage.agent_step(*n, *step),
        Turn::Cluster => {
            stage.cluster();
        }
        Turn::Tick(ms) => stage.now.0 += ms,
        Turn::Create(what, n) => {
            let new = object(*what, *n);
            stage.server.clock += 1;
            stage.server.create(new);
        }
        Turn::Delete(what, n) => {
            let name = object(*what, *n).identity().1.name;
            stage.delete(kind_of(*what), "tenants", &name);
        }
        Turn::Move(n, gateway) => {
            let slot = (Kind::EIP, None, key("tenants", EIPS[*n]));
            stage.server.change(&slot, true, |o| {
                if let Object::EIP(eip) = o {
                    eip.spec.gateway.name = GATEWAYS[*gateway].to_owned();
                }
            });
        }
        Turn::Freeze(n, frozen) => {
            let count = stage.agents.len();
            if count > 0 {
                stage.agents[n % count].frozen = *frozen;
            }
        }
        Turn::KillPod(crash) => {
            stage.crash_on_delete = *crash;
            let pod = stage
                .server
                .all(Kind::Pod)
                .next()
                .map(super::server::slot_of);
            if let Some(pod) = pod {
                stage.server.delete(&pod);
            }
        }
        Turn::Reboot(n) => stage.reboot(["n1", "n2"][*n]),
        Turn::Refuse(n) => {
            let address = match stage.server.get(Kind::EIP, &key("tenants", EIPS[*n])) {
                Some(Object::EIP(e)) => e.status.as_ref().and_then(|s| s.ipv4.clone()),
                _ => None,
            };
            let refused: Option<String> = address.and_then(|a| {
                let agent = stage.agents.first()?;
                let line = agent
                    .kernel
                    .iter()
                    .find(|l| l.starts_with("fip ") && l.contains(&format!(" {a} ")))?;
                Some(line.parse::<crate::entry::Entry>().unwrap().key())
            });
            if let (Some(key), Some(agent)) = (refused, stage.agents.first_mut()) {
                agent.refuses.insert(key);
            }
        }
        Turn::DeletePool => {
            stage.delete(Kind::EIPPool, "", "external");
            stage.server.create(pool("external"));
        }
        Turn::Upgrade(n) => {
            stage.rendered = format!("render-{n}");
        }
        Turn::Pod(n, how) => turn_pod(stage, *n, *how),
    }
}

/// Faults stop; what users left must become true, for the leader that has seen
/// all of it as for a new one.
fn recover(stage: &mut Stage, new_leader: bool) {
    for agent in &mut stage.agents {
        agent.refuses.clear();
        agent.frozen = false;
    }
    for n in 0..EIPS.len() {
        turn_pod(stage, n, 1);
    }
    if new_leader {
        stage.restart_operator();
    }
    stage.settle();
    // A new leader believes what it has not seen replaced for a minute.
    stage.now.0 += 61_000;
    stage.settle();
    if !stage.exists(Kind::EIPPool, "", "external") {
        stage.server.create(pool("external"));
        stage.settle();
    }
}

fn names(stage: &Stage, kinds: &[Kind]) -> Vec<(Kind, Key)> {
    kinds
        .iter()
        .flat_map(|kind| {
            stage
                .server
                .all(*kind)
                .map(|o| (*kind, o.identity().1))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Runs a schedule and asserts what must hold in the end.
fn run(turns: &[Turn], order: u64) {
    let mut stage = Stage::new();
    stage.apply(gateway("net", "second", "net/lan2"));
    let shared = inside_pod("tenants", "shared", &["10.244.9.9"]);
    stage.apply(Object::InsidePod(shared));
    for turn in turns {
        take(&mut stage, turn);
    }
    recover(&mut stage, order.is_multiple_of(2));
    assert_eq!(
        stage.not_ready(),
        Default::default(),
        "not Ready after quiet"
    );
    check_pods(&stage);

    let writes = stage.server.writes.len();
    stage.settle();
    let more = &stage.server.writes[writes..];
    assert!(more.is_empty(), "writes in steady state: {more:#?}");
    stage.restart_operator();
    stage.settle();
    let more = &stage.server.writes[writes..];
    assert!(more.is_empty(), "writes after a restart: {more:#?}");

    let mut all = names(
        &stage,
        &[
            Kind::EIP,
            Kind::FIP,
            Kind::DNAT,
            Kind::SNAT,
            Kind::NATGateway,
            Kind::EIPPool,
        ],
    );
    let mut random = order | 1;
    while !all.is_empty() {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let at = usize::try_from(random >> 33).unwrap() % all.len();
        let (kind, key) = all.swap_remove(at);
        stage.delete(kind, &key.namespace, &key.name);
        if random >> 62 == 0 {
            stage.deliver_all();
            stage.poll();
            stage.execute(0, Fate::Done);
        }
        if random >> 60 == 5 {
            stage.restart_operator();
        }
    }
    stage.settle();
    stage.now.0 += 70_000;
    stage.settle();
    let remains = stage.remains();
    assert!(remains.is_empty(), "left over: {remains:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        // PROPTEST_CASES=4000 for a thousand schedules.
        cases: ProptestConfig::default().cases / 4,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_schedule_ends_ready_quiet_and_without_a_trace(
        turns in prop::collection::vec(turn(), 0..400),
        order in any::<u64>(),
    ) {
        run(&turns, order);
    }
}

#[test]
fn a_claim_on_its_way_back_is_programmed_nowhere() {
    // The IPv6 claim goes back for the lack of the other; that one comes while
    // the release is under way.
    let e = |n| Turn::Execute(n, Fate::Done);
    let mut turns = vec![Turn::Poll, e(6), e(0), e(0), Turn::Deliver(0, 1), e(0)];
    turns.extend([
        Turn::Upgrade(0),
        e(0),
        e(0),
        Turn::Poll,
        e(17),
        e(23),
        e(31),
    ]);
    turns.extend([Turn::Create(4, 3), e(47), e(40), e(17), Turn::Poll, e(26)]);
    turns.extend([e(11), e(45), e(10), Turn::Crash, Turn::Poll, e(4), e(24)]);
    turns.extend([e(3), e(36), Turn::Tick(408), Turn::DeletePool, Turn::Poll]);
    turns.extend([e(41), Turn::Poll, e(6), e(47), Turn::Poll, e(11)]);
    turns.extend([
        Turn::Execute(1, Fate::Lost),
        e(4),
        Turn::Tick(280),
        Turn::Poll,
    ]);
    turns.extend([
        Turn::Cluster,
        e(21),
        Turn::Upgrade(1),
        Turn::Tick(676),
        e(35),
    ]);
    turns.extend([e(39), Turn::Tick(297), Turn::Cluster, Turn::Deliver(11, 9)]);
    turns.extend([
        e(9),
        Turn::Poll,
        e(45),
        Turn::Create(0, 1),
        Turn::Deliver(2, 5),
    ]);
    turns.extend([
        Turn::Poll,
        e(41),
        e(14),
        Turn::Agent(0, 0),
        Turn::Agent(1, 1),
    ]);
    run(&turns, 3_977_432_003_990_947_113);
}

#[test]
#[rustfmt::skip]
fn a_header_that_has_just_come_is_looked_at_before_a_claim_goes_back() {
    use Turn::*;
    let e = |n| Execute(n, Fate::Done);
    let turns = [
        Poll, e(42), Poll, e(49), Execute(22, Fate::AnswerLost), e(5), e(24),
        e(27), Deliver(0, 3), Create(2, 0), Poll, e(35), e(5), e(36), e(28),
        Poll, e(46), Poll, e(9), e(38), e(13), Tick(400), e(37), Create(4, 1),
        Poll, e(26), Execute(34, Fate::AnswerLost), Poll, e(46), e(19),
        Create(0, 0), Deliver(2, 11), Poll, e(21), Cluster, Cluster, e(34),
        Agent(0, 0), e(45), e(12), Crash, Poll, DeletePool, Agent(0, 1),
        Agent(2, 3), e(0), e(26), e(45), Poll, e(4), e(38), e(13), Tick(689),
        Deliver(8, 15), e(44), Execute(38, Fate::Lost), Poll, e(45), e(9),
        e(41), Agent(3, 0), Agent(3, 1), e(44), e(22), Deliver(15, 1),
        Tick(293), e(3), Agent(2, 3), Create(4, 0), Agent(0, 3), e(38),
        Deliver(0, 3),
    ];
    run(&turns, 15211096837116075632);
}

#[test]
#[rustfmt::skip]
fn a_claim_that_came_too_late_to_be_inherited_goes_back() {
    use Turn::*;
    let e = |n| Execute(n, Fate::Done);
    let turns = [
        Poll, e(0), e(6), e(1), Poll, Deliver(0, 1), Create(0, 0),
        Deliver(0, 1), e(0), Agent(0, 0), Poll, Agent(0, 0), e(27),
        Create(0, 1), e(43), Poll, Create(0, 3), e(8), Poll, Delete(4, 0),
        e(10), e(10), e(44), e(0), Deliver(2, 3), e(41), e(28), Poll,
        Create(4, 0), Deliver(2, 3), Delete(4, 0), Poll, Delete(0, 3), e(21),
        e(40), e(13), e(8), Create(4, 0), Tick(74),
    ];
    run(&turns, 16990698443996428790);
}

#[test]
#[rustfmt::skip]
fn of_two_claims_of_a_family_the_one_that_stays_counts() {
    use Turn::*;
    let e = |n| Execute(n, Fate::Done);
    let turns = [
        Create(1, 3), Poll, e(1), e(3), Crash, Poll, e(9), e(22), Create(4, 3),
        Deliver(2, 1), Delete(4, 3), Poll, e(0), e(0), e(0), e(18), Create(4, 3),
        Deliver(0, 1), Deliver(2, 2), Poll, e(4),
    ];
    run(&turns, 770832212025709927);
}

#[test]
fn an_address_of_an_eip_that_is_refused_is_not_made_sure_of() {
    // Held by a rule while it goes, an EIP has one address of two, and its pool goes as
    // well: no leader writes its claim.
    let e = |n| Turn::Execute(n, Fate::Done);
    let turns = vec![
        Turn::Create(3, 3),
        Turn::Poll,
        e(45),
        e(49),
        Turn::Create(0, 3),
        Turn::Break(3),
        Turn::Deliver(5, 8),
        e(44),
        Turn::Deliver(2, 13),
        e(36),
        e(21),
        Turn::Tick(435),
        e(47),
        Turn::Poll,
        Turn::Deliver(0, 1),
        e(0),
        Turn::Create(6, 1),
        e(43),
        e(44),
        e(30),
        e(31),
        Turn::Poll,
        e(3),
        Turn::Crash,
        Turn::DeletePool,
        Turn::Break(15),
        Turn::Deliver(16, 6),
        Turn::Poll,
        e(31),
        e(40),
        e(19),
        Turn::Execute(5, Fate::Lost),
        e(41),
        Turn::Poll,
        e(37),
        Turn::Move(3, 0),
        e(44),
        Turn::Relist(2),
        Turn::Crash,
        Turn::Delete(0, 3),
    ];
    run(&turns, 16_066_122_585_015_905_713);
}
