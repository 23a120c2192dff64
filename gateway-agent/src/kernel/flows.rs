//! Which connections a change of the rules makes void.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// Connections to flush: those that name one of the addresses in the given place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flush {
    /// Destination of the original direction: flows that came in to an EIP.
    pub orig_dst: BTreeSet<IpAddr>,
    /// Destination of the reply direction: flows that left with an EIP.
    pub reply_dst: BTreeSet<IpAddr>,
    /// Source of the original direction: flows that an inside address began.
    pub orig_src: BTreeSet<IpAddr>,
}
