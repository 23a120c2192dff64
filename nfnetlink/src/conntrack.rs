//! Conntrack: the flows that the kernel keeps track of
//! (`linux/netfilter/nfnetlink_conntrack.h`).

mod events;
mod filter;
mod flow;
mod requests;
mod tuple;

pub use events::{FlowChange, FlowEvent, FlowEventSocket};
pub use filter::{FlowFilter, TupleFilter};
pub use flow::{Counters, Flow, FlowStatus};
pub use requests::Flushed;
pub use tuple::{L4, Tuple};
