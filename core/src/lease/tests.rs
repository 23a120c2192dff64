//! The election, step by step and as a simulation with drifting clocks.

use proptest::prelude::*;

use super::*;

fn record(holder: &str, version: &str) -> Record {
    Record {
        uid: "u".into(),
        resource_version: version.into(),
        holder: holder.into(),
        transitions: 3,
        duration_secs: 10,
    }
}

#[test]
fn an_absent_lease_is_created() {
    let mut election = Election::new("a", 10);
    assert_eq!(election.next(Millis(0)), Step::Read);
    election.read(None, Millis(5));
    assert!(matches!(
        election.next(Millis(5)),
        Step::Write(Write {
            base: None,
            acquires: true,
            ..
        })
    ));
    election.wrote(record("a", "1"), Millis(6));
    assert!(election.leads(Millis(7)));
    assert_eq!(election.next(Millis(7)), Step::Wait(Millis(6 + 3_333)));
}

#[test]
fn another_holder_is_left_alone_until_its_lease_has_stood_still_for_all_its_time() {
    let mut election = Election::new("b", 10);
    election.read(Some(record("a", "1")), Millis(1_000));
    assert!(matches!(election.next(Millis(1_000)), Step::Wait(_)));
    election.waited();
    assert_eq!(election.next(Millis(10_999)), Step::Read);
    election.read(Some(record("a", "1")), Millis(10_999));
    assert_eq!(election.next(Millis(10_999)), Step::Wait(Millis(11_000)));
    assert!(matches!(
        election.next(Millis(11_000)),
        Step::Write(Write {
            transitions: 4,
            acquires: true,
            ..
        })
    ));
}

#[test]
fn a_renewal_by_another_starts_the_count_anew() {
    let mut election = Election::new("b", 10);
    election.read(Some(record("a", "1")), Millis(0));
    election.read(Some(record("a", "2")), Millis(9_000));
    assert!(matches!(
        election.next(Millis(18_999)),
        Step::Wait(Millis(19_000))
    ));
}

#[test]
fn a_released_lease_and_ones_own_are_taken_at_once() {
    for holder in ["", "b"] {
        let mut election = Election::new("b", 10);
        election.read(Some(record(holder, "1")), Millis(0));
        assert!(
            matches!(
                election.next(Millis(0)),
                Step::Write(Write { acquires: true, .. })
            ),
            "{holder:?}"
        );
    }
}

#[test]
fn a_paused_leader_notices_by_its_own_clock() {
    let mut election = Election::new("a", 10);
    election.read(None, Millis(0));
    assert_eq!(election.sure_until(), None);
    election.wrote(record("a", "1"), Millis(0));
    assert_eq!(election.sure_until(), Some(Millis(8_000)));
    assert!(election.leads(Millis(7_999)));
    assert!(!election.leads(Millis(8_000)));
    assert_eq!(election.next(Millis(8_000)), Step::Lost);
    assert_eq!(election.release(Millis(8_000)), None);
}

#[test]
fn a_leader_that_reads_another_name_has_lost() {
    let mut election = Election::new("a", 10);
    election.read(None, Millis(0));
    election.wrote(record("a", "1"), Millis(0));
    election.conflicted();
    assert_eq!(election.next(Millis(10)), Step::Read);
    election.read(Some(record("b", "2")), Millis(11));
    assert_eq!(election.next(Millis(11)), Step::Lost);
}

/// A leader of ten seconds from its write at 0 on.
fn leader() -> Election {
    let mut election = Election::new("a", 10);
    election.read(None, Millis(0));
    election.wrote(record("a", "1"), Millis(0));
    election
}

#[test]
fn a_leader_renews_after_a_third_and_changes_nothing_else() {
    let election = leader();
    assert_eq!(election.next(Millis(3_332)), Step::Wait(Millis(3_333)));
    let renewed = Write {
        base: Some(record("a", "1")),
        holder: "a".into(),
        transitions: 3,
        duration_secs: 10,
        acquires: false,
    };
    assert_eq!(election.next(Millis(3_333)), Step::Write(renewed));
}

#[test]
fn a_leader_gives_up_what_still_names_it() {
    let mut election = leader();
    let given_up = Write {
        base: Some(record("a", "1")),
        holder: String::new(),
        transitions: 3,
        duration_secs: 10,
        acquires: false,
    };
    assert_eq!(election.release(Millis(1)), Some(given_up));
    election.read(Some(record("b", "2")), Millis(2));
    assert_eq!(election.release(Millis(3)), None, "it names another");
    let mut other = Election::new("a", 10);
    other.read(Some(record("a", "1")), Millis(0));
    assert_eq!(other.release(Millis(1)), None, "it has never led");
}

#[test]
fn after_a_failure_a_leader_reads_anew_when_a_tenth_has_passed() {
    let mut election = leader();
    election.failed(Millis(4_000));
    assert_eq!(election.next(Millis(4_999)), Step::Wait(Millis(5_000)));
    assert_eq!(election.next(Millis(5_000)), Step::Read);
    assert!(election.leads(Millis(5_000)), "for the time it was sure of");
}

#[test]
fn a_failed_creation_is_followed_by_a_read() {
    let mut election = Election::new("a", 10);
    election.read(None, Millis(0));
    election.failed(Millis(0));
    assert_eq!(election.next(Millis(1_000)), Step::Read);
}

#[test]
fn a_failure_does_not_lengthen_the_time_of_another_holder() {
    let mut election = Election::new("b", 10);
    election.read(Some(record("a", "1")), Millis(0));
    election.failed(Millis(500));
    assert_eq!(election.next(Millis(1_500)), Step::Read);
    assert!(matches!(election.next(Millis(10_000)), Step::Write(_)));
}

#[test]
fn pauses_are_neither_shorter_than_a_tenth_of_a_second_nor_longer_than_two() {
    for (duration_secs, pause) in [(1, 100), (5, 500), (20, 2_000), (60, 2_000)] {
        let mut election = Election::new("a", duration_secs);
        election.failed(Millis(0));
        assert_eq!(election.next(Millis(0)), Step::Wait(Millis(pause)));
    }
}

#[test]
fn the_time_of_a_lease_is_what_it_says_or_ones_own() {
    for (says, stands) in [(20, 20_000), (1, 1_000), (0, 10_000), (-5, 10_000)] {
        let mut election = Election::new("b", 10);
        let mut lease = record("a", "1");
        lease.duration_secs = says;
        election.read(Some(lease), Millis(0));
        let before = election.next(Millis(stands - 1));
        assert_eq!(before, Step::Wait(Millis(stands)), "{says}");
        assert!(matches!(election.next(Millis(stands)), Step::Write(_)));
    }
}

/// A request under way: when it commits, when its answer arrives (if ever).
struct Flight {
    write: Option<Write>,
    sent: Millis,
    commit_at: u64,
    answer_at: u64,
    lost: bool,
    result: Option<Result<Option<Record>, ()>>,
}

struct Contender {
    election: Election,
    offset: u64,
    rate: u64,
    frozen_until: u64,
    wait: Option<Millis>,
    flight: Option<Flight>,
}

impl Contender {
    /// This contender's own clock: `rate` in per mille.
    fn clock(&self, time: u64) -> Millis {
        Millis(self.offset + time * self.rate / 1_000)
    }
}

#[derive(Default)]
struct Server {
    lease: Option<Record>,
    version: u64,
}

impl Server {
    fn commit(&mut self, write: &Write) -> Result<Option<Record>, ()> {
        if self.lease != write.base {
            return Err(());
        }
        self.version += 1;
        self.lease = Some(Record {
            uid: "u".into(),
            resource_version: self.version.to_string(),
            holder: write.holder.clone(),
            transitions: write.transitions,
            duration_secs: write.duration_secs,
        });
        Ok(self.lease.clone())
    }
}

/// Runs both; panics when both lead at once. Returns how often each came to lead.
fn simulate(rates: [u64; 2], offsets: [u64; 2], script: &[(u8, u16, u16)], steps: u64) -> [u32; 2] {
    let mut server = Server::default();
    let fresh = |i: usize, life: u32| Election::new(format!("c{i}-{life}"), 2);
    let mut lives = [0_u32; 2];
    let mut led = [0_u32; 2];
    let mut contenders: Vec<Contender> = (0..2)
        .map(|i| Contender {
            election: fresh(i, 0),
            offset: offsets[i],
            rate: rates[i],
            frozen_until: 0,
            wait: None,
            flight: None,
        })
        .collect();
    let mut chance = script.iter().cycle();
    for time in 0..steps {
        for i in 0..2 {
            let now = contenders[i].clock(time);
            let c = &mut contenders[i];
            if let Some(flight) = &mut c.flight
                && flight.result.is_none()
                && time >= flight.commit_at
            {
                flight.result = Some(match &flight.write {
                    None => Ok(server.lease.clone()),
                    Some(write) => server.commit(write),
                });
            }
            if time < c.frozen_until {
                continue;
            }
            if let Some(flight) = c.flight.take_if(|f| time >= f.answer_at) {
                match (flight.lost, flight.result, flight.write) {
                    (false, Some(Ok(record)), None) => c.election.read(record, now),
                    (false, Some(Ok(Some(record))), Some(_)) => {
                        if !c.election.leads(now) {
                            led[i] += 1;
                        }
                        c.election.wrote(record, flight.sent);
                    }
                    (false, Some(Err(())), _) => c.election.conflicted(),
                    _ => c.election.failed(now),
                }
            }
            if c.flight.is_some() {
                continue;
            }
            match c.wait {
                Some(until) if now < until => continue,
                Some(_) => {
                    c.election.waited();
                    c.wait = None;
                }
                None => {}
            }
            let write = match c.election.next(now) {
                Step::Wait(until) => {
                    c.wait = Some(until);
                    continue;
                }
                Step::Lost => {
                    lives[i] += 1;
                    c.election = fresh(i, lives[i]);
                    continue;
                }
                Step::Read => None,
                Step::Write(write) => Some(write),
            };
            let &(kind, there, back) = chance.next().unwrap();
            let (there, back) = (u64::from(there % 1_500), u64::from(back % 1_500));
            c.flight = Some(Flight {
                write,
                sent: now,
                commit_at: time + there,
                answer_at: time + there + back,
                lost: kind % 7 == 0,
                result: None,
            });
            if kind % 5 == 0 {
                c.frozen_until = time + u64::from(kind) * 40;
            }
        }
        let both = (0..2).all(|i| contenders[i].election.leads(contenders[i].clock(time)));
        assert!(!both, "two leaders at {time}");
    }
    led
}

proptest! {
    #[test]
    fn there_are_never_two_leaders(
        rates in [900_u64..=1_100, 900_u64..=1_100],
        offsets in [0_u64..1_000_000, 0_u64..1_000_000],
        script in proptest::collection::vec(any::<(u8, u16, u16)>(), 1..40),
    ) {
        simulate(rates, offsets, &script, 60_000);
    }
}

#[test]
fn both_come_to_lead_when_leaders_freeze() {
    let script: Vec<(u8, u16, u16)> = (0..30)
        .map(|i| (if i % 6 == 5 { 100 } else { 1 }, 5, 5))
        .collect();
    let led = simulate([1_000, 1_000], [0, 77_000], &script, 200_000);
    assert!(led[0] > 0 && led[1] > 0, "{led:?}");
}
