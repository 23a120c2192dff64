//! [`sluice_core`]'s operator as what decides.

use k8s_openapi::jiff::Timestamp;
use sluice_core::operator::action::{Action, Outcome, StatusWrite, Target};
use sluice_core::operator::event::{Event, Key, Kind, Millis};
use sluice_core::operator::{Gauges, Operator};

use crate::brain::Decide;

impl Decide for Operator {
    fn apply(&mut self, event: Event) {
        Operator::apply(self, event);
    }

    fn poll(&mut self, now: Millis) -> Vec<Action> {
        Operator::poll(self, now)
    }

    fn done(&mut self, target: &Target, outcome: &Outcome, now: Millis) {
        Operator::done(self, target, outcome, now);
    }

    fn judge(
        &mut self,
        kind: Kind,
        key: &Key,
        now: Millis,
        wall: Timestamp,
    ) -> Option<StatusWrite> {
        Operator::judge(self, kind, key, now, wall)
    }

    fn next_deadline(&self, now: Millis) -> Option<Millis> {
        Operator::next_deadline(self, now)
    }

    fn wants_pods(&self) -> bool {
        Operator::wants_pods(self)
    }

    fn gauges(&self) -> Gauges {
        Operator::gauges(self)
    }
}
