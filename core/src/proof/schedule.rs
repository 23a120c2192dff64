//! A schedule from a seed: choices drawn at random, some kinds of them often,
//! some never, so that different seeds go to different places.

use super::choice::Choice;
use super::kernel::Luck;
use super::random::Random;
use super::user::Wish;
use super::world::World;
use crate::operator::event::Kind;

/// Kinds of choices, and how often each is drawn at first.
const WEIGHTS: [(Draw, usize); 34] = [
    (Draw::Deliver, 60),
    (Draw::Elect, 6),
    (Draw::Poll, 40),
    (Draw::Send, 60),
    (Draw::Land, 80),
    (Draw::Reply, 80),
    (Draw::Show, 30),
    (Draw::Tick, 24),
    (Draw::Operate, 40),
    (Draw::Hear, 40),
    (Draw::Cluster, 30),
    (Draw::Pass, 16),
    (Draw::Jump, 10),
    (Draw::Fair, 12),
    (Draw::Wish, 30),
    // From here on what goes wrong.
    (Draw::Repeat, 3),
    (Draw::Break, 3),
    (Draw::Late, 3),
    (Draw::Hold, 4),
    (Draw::Mute, 3),
    (Draw::Lose, 3),
    (Draw::Dim, 3),
    (Draw::Fail, 3),
    (Draw::Crash, 2),
    (Draw::Pause, 4),
    (Draw::Kill, 2),
    (Draw::Freeze, 3),
    (Draw::Cut, 3),
    (Draw::Sandbox, 1),
    (Draw::Power, 4),
    (Draw::Pod, 3),
    (Draw::Force, 1),
    (Draw::Meddle, 2),
    (Draw::Upgrade, 1),
];

/// How many of them are no faults.
const HARMLESS: usize = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draw {
    Deliver,
    Elect,
    Poll,
    Send,
    Land,
    Reply,
    Show,
    Tick,
    Operate,
    Hear,
    Cluster,
    Pass,
    Jump,
    Fair,
    Wish,
    Repeat,
    Break,
    Late,
    Hold,
    Mute,
    Lose,
    Dim,
    Fail,
    Crash,
    Pause,
    Kill,
    Freeze,
    Cut,
    Sandbox,
    Power,
    Pod,
    Force,
    Meddle,
    Upgrade,
}

/// What a run of a seed showed.
pub struct Run {
    pub world: World,
    /// Every choice that changed anything, in order.
    pub taken: Vec<Choice>,
}

/// Draws one schedule over a world and brings it to its end.
pub fn run(mut world: World, seed: u64) -> Run {
    let mut random = Random::new(seed);
    let mut weights: Vec<(Draw, usize)> = WEIGHTS.to_vec();
    for (at, (_, weight)) in weights.iter_mut().enumerate() {
        *weight *= match (at < HARMLESS, random.below(6)) {
            (true, 0) => 3,
            (true, _) => 2,
            (false, 0..=2) => 0,
            (false, 3 | 4) => 2,
            (false, _) => 8,
        };
    }
    let total = weights.iter().map(|(_, weight)| weight).sum();
    let length = 100 + random.below(500);
    let mut taken = Vec::new();
    for _ in 0..length {
        let mut at = random.below(total);
        let draw = weights.iter().find(|(_, weight)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        let (draw, _) = draw.unwrap();
        let choice = choose(*draw, &mut random);
        if world.take(choice) {
            taken.push(choice);
        }
        if world.broken.is_some() {
            return Run { world, taken };
        }
    }
    world.calm(&mut random);
    Run { world, taken }
}

/// A number far above any count of what is there.
const MANY: usize = 1 << 20;

fn choose(draw: Draw, random: &mut Random) -> Choice {
    let mut of = |n: usize| random.below(n);
    let kinds = Kind::ALL.len() - 1;
    match draw {
        Draw::Deliver if of(6) == 0 => Choice::List(of(2), of(kinds)),
        Draw::Deliver => Choice::Deliver(of(2), of(kinds), 1 + of(12), of(3) == 0),
        Draw::Elect => Choice::Elect(of(2)),
        Draw::Poll => Choice::Poll(of(2)),
        Draw::Send => Choice::Send(of(2), of(MANY)),
        Draw::Land => Choice::Land(of(MANY)),
        Draw::Reply => Choice::Reply(of(MANY)),
        Draw::Show => Choice::Show(of(4), of(2) == 0, of(4) == 0),
        Draw::Tick => Choice::Tick(of(4)),
        Draw::Operate => Choice::Operate(of(4), Luck::Done),
        Draw::Hear => Choice::Hear(of(4)),
        Draw::Cluster => match of(10) {
            0 | 1 => Choice::Deploy(of(2) == 0),
            2 | 3 => Choice::Place(of(2)),
            4 => Choice::NodeStatus(of(2)),
            5 => Choice::Collect,
            _ => Choice::Kubelet(of(2)),
        },
        Draw::Pass => Choice::Pass(1 + u64::try_from(of(700)).unwrap()),
        Draw::Jump => Choice::Jump,
        Draw::Fair => {
            let most = [0, 300, 2_000, 20_000][of(4)];
            Choice::Fair(u64::try_from(of(most + 1)).unwrap())
        }
        Draw::Wish => Choice::Wish(wish(&mut of)),
        Draw::Repeat => Choice::Repeat(of(2), of(kinds), of(6)),
        Draw::Break => Choice::Break(of(2), of(kinds)),
        Draw::Late => Choice::Late(of(2), of(kinds), of(3) > 0),
        Draw::Hold => Choice::Hold(of(MANY)),
        Draw::Mute => Choice::Mute(of(MANY)),
        Draw::Lose => Choice::Lose(of(MANY)),
        Draw::Dim if of(2) == 0 => Choice::Blink(of(4), of(2) == 0),
        Draw::Dim => Choice::Dim(of(4), of(2) == 0, of(3) > 0),
        Draw::Fail => {
            let luck = [Luck::Nothing, Luck::Half, Luck::Unheard][of(3)];
            Choice::Operate(of(4), luck)
        }
        Draw::Crash => Choice::Crash(of(2)),
        Draw::Pause => Choice::Pause(of(2), of(3) == 0),
        Draw::Kill => Choice::Kill(of(4)),
        Draw::Freeze => Choice::Freeze(of(4), of(2) == 0),
        Draw::Cut => Choice::Cut(of(4), of(2) == 0),
        Draw::Sandbox => Choice::LoseSandbox(of(4)),
        Draw::Power => match of(5) {
            0 => Choice::PowerOff(of(2)),
            1 => Choice::Taint(of(2)),
            _ => Choice::PowerOn(of(2)),
        },
        Draw::Pod => Choice::DeletePod(of(4)),
        Draw::Force => Choice::ForcePod(of(4)),
        Draw::Meddle => match of(8) {
            0 => Choice::DeleteLease(of(2)),
            1 => Choice::DeleteHeader(of(2)),
            2..=4 => Choice::Refuse(of(4), of(3)),
            _ => Choice::Drift(of(4)),
        },
        Draw::Upgrade => Choice::Upgrade(u8::try_from(of(3)).unwrap()),
    }
}

fn wish(of: &mut impl FnMut(usize) -> usize) -> Wish {
    let n = of(3);
    match of(26) {
        0..=3 => Wish::Eip(n, of(2) == 0),
        4..=7 => Wish::Fip(n),
        8..=10 => Wish::Dnat(n, [8_000, 8_001][of(2)]),
        11 | 12 => Wish::Retarget(n, 5 + u8::try_from(of(3)).unwrap()),
        13..=15 => Wish::Move(n, of(2)),
        16 | 17 => Wish::DropEip(n),
        18..=20 => Wish::DropFip(n),
        21 | 22 => Wish::DropDnat(n, [8_000, 8_001][of(2)]),
        23 if of(4) == 0 => Wish::DropGateway(of(2)),
        23 => Wish::Gateway(of(2)),
        24 if of(4) == 0 => Wish::DropPool,
        _ => Wish::Pool,
    }
}
