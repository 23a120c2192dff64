//! Programmed and Ready, from the holder's report and nothing else. No module
//! but this and its own says anything about Ready.

mod eip;
mod gateway;
mod proof;
mod rule;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sluice_crds::condition::{ACCEPTED, PROGRAMMED, READY, Reason};
use sluice_crds::user::HolderRef;

use super::event::{Key, Kind};
use super::resolve::pods::Missing;
use super::verdict::Verdict;

/// One condition as it shall stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub type_: &'static str,
    /// `None`: Unknown.
    pub status: Option<bool>,
    pub reason: String,
    pub message: String,
}

/// What is said of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub conditions: Vec<Said>,
    /// Who makes it Ready; only with Ready=True.
    pub holder: Option<HolderRef>,
    /// Whether it may change by itself within a moment.
    pub pending: bool,
    /// Programmed, and not Ready until its rules are covered.
    pub turning: bool,
    /// The generation of the header that brought the last of what counts for
    /// it, where all of that is published.
    pub rests_on: Option<i64>,
}

impl Judgement {
    /// Whether it says Ready=True.
    pub(crate) fn is_ready(&self) -> bool {
        self.conditions
            .iter()
            .any(|c| c.type_ == READY && c.status == Some(true))
    }
}

/// Why something is not programmed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lack {
    /// The holder has not reported it yet.
    Pending,
    /// Nobody holds the gateway.
    NoHolder,
    /// The holder's Lease has expired.
    Lost,
    /// The holder is not active at its term yet.
    Passive,
    /// The kernel refused it.
    Rejected(String),
    /// Another gateway must give it up first.
    Leaving(String),
    /// The EIP lacks an address that the rule needs.
    NoAddress(String),
    /// The rule has nothing to be translated now.
    Missing(Missing),
}

impl Lack {
    /// Whether it may be gone within a moment: a holder is alive, and has not
    /// said no.
    fn passes(&self) -> bool {
        match self {
            Lack::Pending | Lack::Passive => true,
            Lack::Missing(missing) => missing.passes(),
            // Its True names the old holder, and must not stand until the new one has it.
            Lack::Leaving(_)
            | Lack::NoHolder
            | Lack::Lost
            | Lack::Rejected(_)
            | Lack::NoAddress(_) => false,
        }
    }
}

pub(crate) fn said(
    type_: &'static str,
    status: Option<bool>,
    reason: impl ToString,
    message: impl Into<String>,
) -> Said {
    Said {
        type_,
        status,
        reason: reason.to_string(),
        message: message.into(),
    }
}

pub(crate) fn accepted(verdict: &Verdict) -> Said {
    said(
        ACCEPTED,
        Some(verdict.ok),
        verdict.reason,
        verdict.message.clone(),
    )
}

const WAITING: &str = "waiting for the gateway's holder to report it";

/// Programmed and Ready for what lacks something.
fn lacking(lack: &Lack, holder_changed: bool) -> [Said; 2] {
    let not_programmed = Reason::NotProgrammed;
    match lack {
        Lack::Pending => [
            said(PROGRAMMED, Some(false), Reason::Pending, WAITING),
            said(READY, Some(false), not_programmed, WAITING),
        ],
        Lack::Passive if holder_changed => {
            let words = "the gateway has a new holder, which has not reported it yet";
            [
                said(PROGRAMMED, Some(false), Reason::Pending, WAITING),
                said(READY, Some(false), Reason::HolderChanged, words),
            ]
        }
        Lack::Passive => [
            said(PROGRAMMED, Some(false), Reason::Pending, WAITING),
            said(READY, Some(false), not_programmed, WAITING),
        ],
        Lack::NoHolder => {
            let words = "no instance holds the gateway; see its Pods and its Lease";
            [
                said(PROGRAMMED, Some(false), Reason::NoHolder, words),
                said(READY, Some(false), not_programmed, words),
            ]
        }
        Lack::Lost => {
            let words = "the gateway's holder has not renewed its Lease for its whole duration; whether it still answers is not known";
            [
                said(PROGRAMMED, None, Reason::HolderLost, words),
                said(READY, None, Reason::HolderLost, words),
            ]
        }
        Lack::Leaving(gateway) => {
            let words = format!(
                "moving: waiting until every instance of NATGateway {gateway} has given it up, or is surely dead"
            );
            [
                said(PROGRAMMED, Some(false), Reason::Pending, words.clone()),
                said(READY, Some(false), not_programmed, words),
            ]
        }
        Lack::NoAddress(words) => [
            said(PROGRAMMED, Some(false), Reason::PoolExhausted, words),
            said(READY, Some(false), not_programmed, words),
        ],
        Lack::Missing(missing) => [
            said(PROGRAMMED, Some(false), missing.reason, &missing.message),
            said(READY, Some(false), not_programmed, &missing.message),
        ],
        Lack::Rejected(words) => {
            let words = format!("the kernel of the holder refused it: {words}");
            [
                said(PROGRAMMED, Some(false), Reason::Rejected, words.clone()),
                said(READY, Some(false), not_programmed, words),
            ]
        }
    }
}

fn not_accepted(verdict: &Verdict) -> Judgement {
    let words = format!("not accepted: {}", verdict.reason);
    Judgement {
        pending: matches!(
            verdict.reason,
            Reason::EIPNotFound
                | Reason::EIPNotAccepted
                | Reason::GatewayNotFound
                | Reason::PoolNotFound
        ),
        turning: false,
        conditions: vec![
            accepted(verdict),
            said(PROGRAMMED, Some(false), Reason::NotAccepted, words.clone()),
            said(READY, Some(false), Reason::NotAccepted, words),
        ],
        holder: None,
        rests_on: None,
    }
}

fn releasing(verdict: &Verdict) -> Judgement {
    let words = "being deleted: waiting until no instance holds it any more";
    Judgement {
        conditions: vec![
            accepted(verdict),
            said(PROGRAMMED, Some(false), Reason::Releasing, words),
            said(READY, Some(false), Reason::NotProgrammed, words),
        ],
        holder: None,
        pending: true,
        turning: false,
        rests_on: None,
    }
}

fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Names up to five of those that stand in the way.
fn deletion_blocked(by: &[(Kind, Key)]) -> String {
    let mut names: Vec<String> = by
        .iter()
        .take(5)
        .map(|(kind, key)| format!("{kind:?} {}/{}", key.namespace, key.name))
        .collect();
    if by.len() > names.len() {
        names.push(format!("and {} more", by.len() - names.len()));
    }
    format!(
        "being deleted, and still in use by {}; it goes when they are gone",
        names.join(", ")
    )
}
