//! What can happen next.

use super::contender::Watch;
use super::kernel::Luck;
use super::machine::{Look, Sight};
use super::user::{EIPS, Wish};
use super::world::{NODES, World};
use crate::operator::event::Kind;

/// One thing that happens. Numbers name processes, machines, nodes and places in
/// queues; where there are fewer, they count around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Choice {
    Pass(u64),
    /// The clock goes to what falls due next.
    Jump,
    /// All go on for so long, but what is held up.
    Fair(u64),
    Elect(usize),
    List(usize, usize),
    Deliver(usize, usize, usize, bool),
    Repeat(usize, usize, usize),
    Break(usize, usize),
    Late(usize, usize, bool),
    Poll(usize),
    Send(usize, usize),
    Land(usize),
    Hold(usize),
    Mute(usize),
    Lose(usize),
    Reply(usize),
    Show(usize, bool, bool),
    /// A machine's watch is late, or no more.
    Dim(usize, bool, bool),
    /// A machine's watch breaks, and lists anew.
    Blink(usize, bool),
    Tick(usize),
    Operate(usize, Luck),
    Hear(usize),
    Deploy(bool),
    Place(usize),
    Kubelet(usize),
    NodeStatus(usize),
    Collect,
    Crash(usize),
    Pause(usize, bool),
    Kill(usize),
    Freeze(usize, bool),
    Cut(usize, bool),
    LoseSandbox(usize),
    PowerOff(usize),
    PowerOn(usize),
    Taint(usize),
    DeletePod(usize),
    ForcePod(usize),
    Refuse(usize, usize),
    Drift(usize),
    DeleteLease(usize),
    DeleteHeader(usize),
    Upgrade(u8),
    Wish(Wish),
}

impl World {
    /// The machine of this number among those that are there.
    fn living_at(&self, n: usize) -> Option<usize> {
        let living = self.living();
        living.get(n % living.len().max(1)).copied()
    }

    /// Makes it happen; whether anything changed.
    pub fn take(&mut self, choice: Choice) -> bool {
        self.note(|| format!("{choice:?}"));
        let done = self.act(choice);
        self.look();
        done
    }

    fn act(&mut self, choice: Choice) -> bool {
        let sight = |lease: bool| if lease { Sight::Lease } else { Sight::Header };
        match choice {
            Choice::Pass(millis) => {
                self.pass(millis);
                true
            }
            Choice::Jump => {
                let due = self.due().map(|at| at.saturating_sub(self.now));
                due.filter(|wait| *wait > 0 && *wait < 30_000)
                    .map(|wait| self.pass(wait))
                    .is_some()
            }
            Choice::Fair(millis) => {
                self.go_on(millis);
                true
            }
            Choice::Elect(who) => !self.contenders[who].paused && self.elect(who),
            Choice::List(who, kind) => self.list(who, Kind::ALL[kind]),
            Choice::Deliver(who, kind, count, squash) => {
                !self.contenders[who].paused && self.deliver(who, Kind::ALL[kind], count, squash)
            }
            Choice::Repeat(who, kind, back) => {
                if !self.contenders[who].paused {
                    self.repeat(who, Kind::ALL[kind], back);
                }
                true
            }
            Choice::Break(who, kind) => {
                let kind = Kind::ALL[kind];
                let whole = matches!(
                    self.contenders[who].watches.get(&kind),
                    Some(Watch::Following(_))
                );
                if whole && !self.contenders[who].paused {
                    self.sometimes("a watch breaks");
                    self.break_watch(who, kind);
                }
                whole
            }
            Choice::Late(who, kind, true) => self.late.insert((who, Kind::ALL[kind])),
            Choice::Late(who, kind, false) => self.late.remove(&(who, Kind::ALL[kind])),
            Choice::Poll(who) => !self.contenders[who].paused && self.poll(who),
            Choice::Send(who, at) => {
                let count = self.contenders[who].queue.len();
                if count > 0 && !self.contenders[who].paused {
                    self.send(who, at % count);
                }
                count > 0
            }
            Choice::Land(at) => self.on_request(at, Self::land),
            Choice::Lose(at) => self.on_request(at, Self::lose),
            Choice::Hold(at) => self.on_request(at, |world, at| world.requests[at].held = true),
            Choice::Mute(at) => self.on_request(at, |world, at| {
                world.requests[at].mute = true;
                world.land(at);
            }),
            Choice::Reply(at) => {
                let count = self.replies.len();
                let at = at % count.max(1);
                let heard = self.replies.get(at).is_some_and(|r| self.hears(r.to));
                if heard {
                    self.reply(at);
                }
                heard
            }
            Choice::Deploy(again) => self.deploy(again),
            Choice::Place(n) => self.place(n),
            Choice::Kubelet(n) => self.kubelet(NODES[n % 2]),
            Choice::NodeStatus(n) => self.node_status(NODES[n % 2]),
            Choice::Collect => self.collect(),
            Choice::Crash(who) => {
                self.sometimes("an operator dies");
                self.end_life(who);
                true
            }
            Choice::Pause(who, paused) => {
                let before = std::mem::replace(&mut self.contenders[who].paused, paused);
                before != paused
            }
            Choice::PowerOff(n) => self.power_off(NODES[n % 2]),
            Choice::PowerOn(n) => self.power_on(NODES[n % 2]),
            Choice::Taint(n) => self.taint(NODES[n % 2], true),
            Choice::DeletePod(n) => self.delete_pod(n),
            Choice::ForcePod(n) => self.force_pod(n),
            Choice::DeleteLease(n) => self.delete_lease(n),
            Choice::DeleteHeader(n) => self.delete_header(n),
            Choice::Upgrade(n) => {
                self.sometimes("the operators are upgraded");
                self.rendered = format!("render-{n}");
                for who in 0..self.contenders.len() {
                    self.end_life(who);
                }
                true
            }
            Choice::Wish(wish) => self.wish(wish),
            Choice::Show(n, ..)
            | Choice::Dim(n, ..)
            | Choice::Blink(n, _)
            | Choice::Tick(n)
            | Choice::Operate(n, _)
            | Choice::Hear(n)
            | Choice::Kill(n)
            | Choice::Freeze(n, _)
            | Choice::Cut(n, _)
            | Choice::LoseSandbox(n)
            | Choice::Refuse(n, _)
            | Choice::Drift(n) => {
                let Some(n) = self.living_at(n) else {
                    return false;
                };
                match choice {
                    Choice::Show(_, lease, skip) => self.show(n, sight(lease), skip),
                    Choice::Dim(_, lease, late) => {
                        let place = &mut self.machines[n].late[sight(lease) as usize];
                        std::mem::replace(place, late) != late
                    }
                    Choice::Blink(_, lease) => {
                        self.set_look(n, sight(lease), Look::Broken);
                        true
                    }
                    Choice::Tick(_) => self.tick(n),
                    Choice::Operate(_, luck) => self.operate(n, luck),
                    Choice::Hear(_) => self.hear(n),
                    Choice::Kill(_) => {
                        let ran = self.machines[n].process.is_some();
                        self.end_process(n);
                        ran
                    }
                    Choice::Freeze(_, frozen) => {
                        let has = self.machines[n].process.is_some();
                        self.machines[n].frozen = frozen && has;
                        has
                    }
                    Choice::Cut(_, cut) => std::mem::replace(&mut self.machines[n].cut, cut) != cut,
                    Choice::LoseSandbox(_) => {
                        self.end_machine(n);
                        true
                    }
                    Choice::Refuse(_, eip) => self.refuse(n, EIPS[eip % EIPS.len()]),
                    _ => self.drift(n),
                }
            }
        }
    }

    fn on_request(&mut self, at: usize, then: impl FnOnce(&mut Self, usize)) -> bool {
        let count = self.requests.len();
        if count > 0 {
            then(self, at % count);
        }
        count > 0
    }
}
