//! Every order of what may happen between an agent, two databases, `ovn-northd` and two
//! chassis, to a depth: what is acknowledged is programmed, by who hosts now.
//!
//! What a process sees of a database is as old as it may be, and leaves out what came between
//! two looks. A chassis counts what it has programmed, whether or not it hosts the port.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::agent::Millis;
use crate::ovn::{Acknowledgement, Counters, Host, Hosting, Verdict};

const CHASSIS: [&str; 2] = ["a", "b"];

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The agent looks, and counts up where it is told to.
    Look(Fate),
    /// It has something new to write.
    Write(Fate),
    /// It sees a database as it is now.
    SeeNorth,
    SeeSouth,
    /// `ovn-northd` takes over what is written, and says so.
    Northd,
    NorthdSays,
    /// A chassis programs what the southbound database has, and counts.
    Chassis(usize),
    /// The port goes to a chassis, or to none.
    Bind(Option<usize>),
}

/// What becomes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Known,
    /// Done or not, and the agent never hears of it.
    Unknown {
        done: bool,
    },
}

const FATES: [Fate; 3] = [
    Fate::Known,
    Fate::Unknown { done: true },
    Fate::Unknown { done: false },
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct North {
    nb_cfg: i64,
    sb_cfg: i64,
    rows: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct South {
    nb_cfg: i64,
    rows: u32,
    /// Who hosts, and how often that has changed.
    bound: Option<usize>,
    version: u32,
    counted: [i64; 2],
}

#[derive(Clone, Debug, Default)]
struct World {
    north: North,
    south: South,
    /// What each chassis has programmed as the host, by binding: the rows.
    programmed: BTreeMap<(usize, u32), u32>,
    seen: (North, South),
    ack: Acknowledgement,
    /// What the agent wrote last, as far as it knows.
    wrote: u32,
    faults: u32,
    binds: u32,
    verdict: Option<Verdict>,
}

impl World {
    /// Everything is up, nothing was written, and the agent has counted up for the first
    /// time.
    fn new() -> Self {
        let mut world = Self::default();
        world.south.bound = Some(0);
        world.seen = (world.north.clone(), world.south.clone());
        assert_eq!(world.step(Step::Look(Fate::Known)), Ok(()));
        world
    }

    /// A transaction that counts up.
    fn transact(&mut self, rows: u32, fate: Fate) {
        self.ack.lost();
        if fate != (Fate::Unknown { done: false }) {
            self.north.nb_cfg += 1;
            self.north.rows = rows;
        }
        match fate {
            Fate::Known => self.ack.wrote(self.north.nb_cfg),
            Fate::Unknown { .. } => self.faults += 1,
        }
    }

    fn counters(&self) -> Counters {
        let (north, south) = &self.seen;
        Counters {
            nb_cfg: north.nb_cfg,
            sb_cfg: north.sb_cfg,
            southbound: south.nb_cfg,
            host: south.bound.map(|n| Host {
                chassis: CHASSIS[n].to_owned(),
                binding: south.version.to_string(),
                at: Some(south.counted[n]),
            }),
            switched_off: false,
        }
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Look(fate) => {
                let verdict = self.ack.look(Millis(0), &self.counters());
                self.verdict = Some(verdict.clone());
                match verdict {
                    Verdict::Count => self.transact(self.north.rows, fate),
                    Verdict::Acknowledged(hosting) => return self.judge(&hosting),
                    Verdict::Waiting(_) => {}
                }
            }
            Step::Write(fate) => {
                // Written again until it is known to be there.
                self.wrote += 1;
                self.transact(self.wrote, fate);
            }
            Step::SeeNorth => self.seen.0 = self.north.clone(),
            Step::SeeSouth => self.seen.1 = self.south.clone(),
            Step::Northd => {
                self.south.nb_cfg = self.north.nb_cfg;
                self.south.rows = self.north.rows;
            }
            Step::NorthdSays => self.north.sb_cfg = self.south.nb_cfg,
            Step::Chassis(n) => {
                if self.south.bound == Some(n) {
                    self.programmed
                        .insert((n, self.south.version), self.south.rows);
                }
                self.south.counted[n] = self.south.nb_cfg;
            }
            Step::Bind(to) => {
                self.south.bound = to;
                self.south.version += 1;
                self.binds += 1;
            }
        }
        Ok(())
    }

    /// Whoever is acknowledged has programmed, since the binding that was seen, all that was
    /// there when it was asked.
    fn judge(&self, hosting: &Hosting) -> Result<(), String> {
        let south = &self.seen.1;
        let n = south.bound.filter(|n| CHASSIS[*n] == hosting.chassis);
        let n = n.ok_or_else(|| format!("{hosting:?} does not host in {south:?}"))?;
        match self.programmed.get(&(n, south.version)) {
            Some(rows) if *rows >= self.wrote.min(self.north.rows) => Ok(()),
            had => Err(format!(
                "{hosting:?} has {had:?}, {} was written",
                self.wrote
            )),
        }
    }

    fn steps(&self) -> Vec<Step> {
        let fates = if self.faults == 0 {
            &FATES[..]
        } else {
            &FATES[..1]
        };
        let mut steps = vec![
            Step::SeeNorth,
            Step::SeeSouth,
            Step::Northd,
            Step::NorthdSays,
            Step::Chassis(0),
            Step::Chassis(1),
        ];
        steps.extend(fates.iter().map(|fate| Step::Look(*fate)));
        if self.wrote < 1 {
            steps.extend(fates.iter().map(|fate| Step::Write(*fate)));
        }
        if self.binds < 2 {
            let other = self.south.bound.map_or(0, |n| 1 - n);
            steps.push(Step::Bind(Some(other)));
            if self.south.bound.is_some() {
                steps.push(Step::Bind(None));
            }
        }
        steps
    }

    /// Faults stop, and all goes on in turns: whoever hosts is acknowledged.
    fn calm(&mut self) -> Result<(), String> {
        if self.south.bound.is_none() {
            self.step(Step::Bind(Some(0)))?;
        }
        if self.north.rows < self.wrote {
            self.transact(self.wrote, Fate::Known);
        }
        for _ in 0..6 {
            for step in [
                Step::SeeNorth,
                Step::SeeSouth,
                Step::Look(Fate::Known),
                Step::Northd,
                Step::NorthdSays,
                Step::Chassis(0),
                Step::Chassis(1),
            ] {
                self.step(step)?;
            }
        }
        match &self.verdict {
            Some(Verdict::Acknowledged(_)) => Ok(()),
            verdict => Err(format!("ends with {verdict:?}")),
        }
    }
}

/// How many states there are within so many steps, and in how many somebody is acknowledged.
fn explore(depth: usize) -> Result<(usize, usize), String> {
    let mut known = BTreeSet::new();
    let mut acknowledged = 0;
    let mut open = VecDeque::from([(World::new(), Vec::new())]);
    while let Some((world, path)) = open.pop_front() {
        for step in world.steps() {
            let mut next = world.clone();
            let mut path: Vec<Step> = path.clone();
            path.push(step);
            next.step(step)
                .map_err(|why| format!("{why}\nby {path:?}"))?;
            if !known.insert(format!("{next:?}")) {
                continue;
            }
            acknowledged += usize::from(matches!(next.verdict, Some(Verdict::Acknowledged(_))));
            if path.len() < depth {
                open.push_back((next, path));
            } else {
                next.calm()
                    .map_err(|why| format!("{why}\nafter {path:?}"))?;
            }
        }
    }
    Ok((known.len(), acknowledged))
}

#[test]
fn what_is_acknowledged_is_programmed_by_who_hosts_in_every_short_order() {
    let (states, acknowledged) = explore(8).unwrap();
    assert!(acknowledged > 0, "none of {states} states");
}

#[test]
#[ignore = "takes minutes: make model"]
fn long() {
    let (states, acknowledged) = explore(11).unwrap();
    println!("model: a chassis acknowledges: {states} states, {acknowledged} acknowledged");
    assert!(acknowledged > 0);
}
