//! The report: derived from what is confirmed, written when it changes.

use sluice_crds::internal::{Active, GatewayInstanceStatus, Problem};

use super::backoff::{Backoff, after};
use super::event::ReportAnswer;
use super::plane::unusable;
use super::{Action, Agent, Millis};
use crate::entry::FORMAT;
use crate::identity::Term;

#[cfg(test)]
mod tests;

/// The most that a report may list of one thing (as in the schema).
const LIST_MAX: usize = 1_024;
/// The longest text that a report may carry (as in the schema).
const TEXT_MAX: usize = 512;
/// The most shortages that a report may list (as in the schema); they stop nothing, so the
/// rest is left out.
const SHORTAGES_MAX: usize = 256;
/// The most problems that a report may list (as in the schema).
const PROBLEMS_MAX: usize = 16;
/// The most neighbours that a report may list (as in the schema).
const NEIGHBOURS_MAX: usize = 128;

/// How often the report is read, in case somebody deleted it or wrote something
/// else: nothing is good without it, and nobody but this instance can restore it.
const READ_MS: u64 = 15_000;

/// What the API server has, and what is under way.
#[derive(Clone, Debug)]
pub(super) struct Reporter {
    /// The report as the API server has it; `None`: not known yet.
    stands: Option<GatewayInstanceStatus>,
    busy: Option<Busy>,
    retry: Backoff,
    /// When the report is read next.
    read_at: Millis,
    /// The token was refused: does the Pod still exist?
    doubt: bool,
}

/// What is under way.
#[derive(Clone, Debug)]
enum Busy {
    Write(Box<GatewayInstanceStatus>),
    Read,
}

impl Default for Reporter {
    fn default() -> Self {
        Self {
            stands: None,
            busy: None,
            retry: Backoff::new(100, 5_000),
            read_at: Millis(0),
            doubt: false,
        }
    }
}

impl Reporter {
    pub(super) fn doubt_pod(&mut self) {
        self.doubt = true;
    }

    pub(super) fn doubts_pod(&self) -> bool {
        self.doubt
    }

    pub(super) fn pod_read(&mut self) {
        self.doubt = false;
    }

    /// Whether the API server has had a report of this instance.
    pub(super) fn stands(&self) -> bool {
        self.stands.is_some()
    }

    /// Whether the API server has the final report.
    pub(super) fn has_said_final(&self) -> bool {
        self.busy.is_none() && self.stands.as_ref().is_some_and(|status| status.is_final)
    }
}

impl Agent {
    /// The term at which the addresses answer, if they do.
    pub(super) fn active(&self) -> Option<Term> {
        let held = self.tenure.held(&self.me)?;
        let announced = self.plane.announced() == Some(&held);
        let acked = self.plane.acked().is_some_and(|acked| acked.holding);
        (self.plane.is_answering() && announced && acked).then_some(held)
    }

    pub(super) fn desired(&self) -> GatewayInstanceStatus {
        let plane = &self.plane;
        let base = GatewayInstanceStatus {
            instance: self.me.clone(),
            formats: vec![FORMAT],
            drift_repairs: plane.repairs(),
            ..GatewayInstanceStatus::default()
        };
        if self.has_ended() {
            return GatewayInstanceStatus {
                is_final: true,
                ..base
            };
        }
        let mut status = GatewayInstanceStatus {
            applied: plane.acked().map(|acked| acked.applied.clone()),
            rejected: plane.acked().map_or_else(Vec::new, |a| a.rejected.clone()),
            active: self.active().map(|term| Active {
                lease_uid: term.lease_uid.to_string(),
                term: term.transitions,
            }),
            unusable: unusable(plane),
            problems: self.problems(),
            shortages: match plane.is_answering() {
                true => plane.shortages.clone(),
                false => Vec::new(),
            },
            hosting: plane.inspection().hosting.clone(),
            uplinks: plane.inspection().uplinks.clone(),
            neighbours: plane.inspection().neighbours.clone(),
            ..base
        };
        bound(&mut status);
        status
    }

    fn problems(&self) -> Vec<Problem> {
        let inspection = self.plane.inspection();
        let drift = (!inspection.drift.is_empty()).then(|| Problem {
            reason: "Drifted".to_owned(),
            message: format!("changed by others: {}", inspection.drift.join("; ")),
            blocking: true,
        });
        let mut problems: Vec<Problem> = self
            .pursuit
            .problem()
            .cloned()
            .into_iter()
            .chain(self.plane.failure())
            .chain(drift)
            .chain(inspection.problems.iter().cloned())
            .collect();
        // Those that stop traffic first, so that a long list keeps them.
        problems.sort_by(|a, b| b.blocking.cmp(&a.blocking).then_with(|| a.cmp(b)));
        problems.dedup();
        problems
    }

    pub(super) fn next_report(&mut self, now: Millis) -> Option<Action> {
        let stands = self.reporter.stands.as_ref()?;
        // Before the Lease was seen, `active` of an earlier process can neither
        // be repeated nor taken back.
        if self.reporter.busy.is_some() || !self.tenure.is_known() {
            return None;
        }
        let desired = self.desired();
        if *stands == desired || !self.wake.reached(now, self.reporter.retry.due()) {
            return None;
        }
        let desired = Box::new(desired);
        self.reporter.busy = Some(Busy::Write(desired.clone()));
        Some(Action::Report(desired))
    }

    /// Looks now and then whether the report still stands as it was written.
    pub(super) fn next_report_read(&mut self, now: Millis) -> Option<Action> {
        let reporter = &mut self.reporter;
        let idle = reporter.stands.is_some() && reporter.busy.is_none();
        if !idle || !self.wake.reached(now, reporter.read_at) {
            return None;
        }
        reporter.busy = Some(Busy::Read);
        Some(Action::ReadReport)
    }

    pub(super) fn report_answered(&mut self, now: Millis, answer: ReportAnswer) {
        let busy = self.reporter.busy.take();
        self.reporter.read_at = after(now, READ_MS);
        match (answer, busy) {
            (ReportAnswer::Written, Some(Busy::Write(written))) => {
                self.reporter.stands = Some(*written);
                self.reporter.retry.reset();
            }
            (ReportAnswer::Written, Some(Busy::Read) | None) => {}
            (ReportAnswer::Stands(status), busy) => {
                if status.instance == self.me {
                    self.plane.resume_repairs(status.drift_repairs);
                    self.plane.resume(&status);
                    if status.is_final {
                        self.stand_down(now);
                    }
                }
                self.reporter.stands = Some(*status);
                // Somebody else writes or deletes it: not as fast as they do.
                if let Some(Busy::Write(_)) = busy {
                    self.reporter.retry.failed(now);
                }
            }
            (ReportAnswer::Failed(_), Some(Busy::Read)) => {}
            (ReportAnswer::Failed(_), Some(Busy::Write(_)) | None) => {
                self.reporter.retry.failed(now);
            }
        }
    }
}

/// Keeps the report within its schema. What does not fit must not look good:
/// a list that was cut becomes a problem that stops everything.
fn bound(status: &mut GatewayInstanceStatus) {
    let cut = [
        ("rejected entries", status.rejected.len()),
        ("unusable addresses", status.unusable.len()),
    ];
    for (what, count) in cut {
        if count > LIST_MAX {
            status.problems.insert(
                0,
                Problem {
                    reason: "TooManyFaults".to_owned(),
                    message: format!("{count} {what}, of which a report can name {LIST_MAX}"),
                    blocking: true,
                },
            );
        }
    }
    status.rejected.truncate(LIST_MAX);
    status.unusable.truncate(LIST_MAX);
    status.problems.truncate(PROBLEMS_MAX);
    status.neighbours.truncate(NEIGHBOURS_MAX);
    status.shortages.truncate(SHORTAGES_MAX);
    for rejected in &mut status.rejected {
        shorten(&mut rejected.error);
    }
    for unusable in &mut status.unusable {
        shorten(&mut unusable.message);
    }
    for shortage in &mut status.shortages {
        shorten(&mut shortage.message);
    }
    for problem in &mut status.problems {
        shorten(&mut problem.message);
    }
}

/// Cuts a text to [`TEXT_MAX`] characters.
fn shorten(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(at);
    }
}
