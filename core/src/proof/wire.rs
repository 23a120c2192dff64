//! Requests and answers on their way. A request may land late, also after its
//! sender has given up or ended; an answer may be lost.

use crate::agent;
use crate::identity::Uid;
use crate::lease;
use crate::operator::action::{Action, Outcome, StatusWrite, Target};
use crate::operator::event::{Event, Key, Kind};

/// Who sent a request: the process by its number, and which life of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Operator(usize, u64),
    Agent(usize, u64),
}

#[derive(Clone, Debug)]
pub struct Request {
    pub from: Sender,
    pub since: u64,
    pub body: Body,
    /// Nobody waits for its answer any more.
    pub orphan: bool,
    /// It lands and does something, and its answer will not come.
    pub mute: bool,
    /// It is slow: others overtake it.
    pub held: bool,
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few of them at a time")]
pub enum Body {
    /// Of the operators' election: read, or write.
    Elect(Option<lease::Write>),
    /// Any action of an operator but a status.
    Act(Action),
    /// A status as it was judged when it was sent.
    Status(Kind, Key, StatusWrite),
    /// Any action of an agent but on its kernel.
    Agent(agent::Action),
    /// The agent's report, with the object as the agent last saw it.
    Report(
        Box<sluice_crds::internal::GatewayInstanceStatus>,
        Option<Seen>,
    ),
    /// Make the report, or take over an earlier process' one.
    MakeReport,
}

/// A report object as it was seen.
pub type Seen = (Uid, u64);

#[derive(Clone, Debug)]
pub struct Reply {
    pub to: Sender,
    pub since: u64,
    pub body: Answer,
}

#[derive(Clone, Debug)]
pub enum Answer {
    /// The operators' Lease was read.
    Read(Option<lease::Record>),
    /// It was written, by a request that was sent then.
    Wrote(lease::Record, u64),
    /// Somebody else had written it.
    Conflicted,
    /// An action of an operator has ended.
    Acted(Target, Outcome, Vec<Event>),
    /// What an agent learns, and the report object where one was seen.
    Told(Vec<agent::Event>, Option<Seen>),
    /// The report could not be made: to be tried again.
    NotMade,
}

impl Request {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(
            self.body,
            Body::Elect(None)
                | Body::Act(Action::Read { .. })
                | Body::Agent(
                    agent::Action::ReadHeader
                        | agent::Action::FetchSlices(_)
                        | agent::Action::ReadLease
                        | agent::Action::ReadPod
                )
        )
    }
}
