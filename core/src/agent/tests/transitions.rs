//! The phases of the process: every phase with every event that moves it.

use super::super::*;
use super::sim::Sim;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Serving,
    Asking,
    HandingOver,
    Exited,
}

fn phase(sim: &Sim) -> In {
    match sim.agent.phase {
        Phase::Serving => In::Serving,
        Phase::Asking => In::Asking,
        Phase::HandingOver { .. } => In::HandingOver,
        Phase::Leaving | Phase::Exited => In::Exited,
    }
}

fn brought_to(wanted: In) -> Sim {
    let mut sim = Sim::serving();
    match wanted {
        In::Serving => {}
        In::Asking => sim.tell(Event::Terminate),
        In::HandingOver => {
            sim.tell(Event::Terminate);
            sim.open.clear();
            sim.tell(Event::Pod(PodSeen::Terminating));
            sim.kernel = super::sim::Kernel::default();
        }
        In::Exited => {
            sim.tell(Event::Terminate);
            sim.open.clear();
            sim.tell(Event::Pod(PodSeen::Lives));
        }
    }
    assert_eq!(phase(&sim), wanted);
    sim.open.clear();
    sim
}

#[test]
fn every_phase_answers_every_event_of_the_way_out() {
    use In::{Asking, Exited, HandingOver, Serving};
    use PodSeen::{Gone, Lives, Refused, Terminating, Unreachable};
    let rows = [
        (Event::Terminate, [Asking, Asking, HandingOver, Exited]),
        (Event::Unauthorized, [Serving, Asking, HandingOver, Exited]),
        (Event::Pod(Lives), [Serving, Exited, HandingOver, Exited]),
        (
            Event::Pod(Unreachable),
            [Serving, Exited, HandingOver, Exited],
        ),
        (
            Event::Pod(Terminating),
            [Serving, HandingOver, HandingOver, Exited],
        ),
        (
            Event::Pod(Gone),
            [HandingOver, HandingOver, HandingOver, Exited],
        ),
        (
            Event::Pod(Refused),
            [HandingOver, HandingOver, HandingOver, Exited],
        ),
        (Event::Tick, [Serving, Asking, HandingOver, Exited]),
        (Event::Header(None), [Serving, Asking, HandingOver, Exited]),
        (Event::Lease(None), [Serving, Asking, HandingOver, Exited]),
        (
            Event::Notice(Notice::Link),
            [Serving, Asking, HandingOver, Exited],
        ),
        (
            Event::Kernel(KernelAnswer::Cleared),
            [Serving, Asking, HandingOver, Exited],
        ),
        (
            Event::Report(ReportAnswer::Written),
            [Serving, Asking, HandingOver, Exited],
        ),
    ];
    for (event, expected) in rows {
        for (from, to) in [Serving, Asking, HandingOver, Exited]
            .into_iter()
            .zip(expected)
        {
            let mut sim = brought_to(from);
            sim.tell(event.clone());
            assert_eq!(phase(&sim), to, "{from:?} and {event:?}");
        }
    }
}

#[test]
fn only_serving_begins_what_would_have_to_be_undone() {
    let mut sim = brought_to(In::Asking);
    sim.publish(&super::sim::config(1..9));
    sim.tell(Event::Header(sim.header.clone()));
    sim.pass(10_000);
    let undoable = |a: &Action| {
        matches!(
            a,
            Action::Kernel(_) | Action::WriteLease(_) | Action::Report(_)
        )
    };
    assert!(!sim.open.iter().any(undoable), "{:?}", sim.open);
}
