//! The data plane: what the kernel of this network namespace holds.
//!
//! [`Kernel`] is the only door. It blocks, is not `Sync`, and works in the network
//! namespace of the thread that opened it: give it a thread of its own.
//!
//! ```text
//! Kernel::open(KernelOptions) -> Result<Kernel, KernelError>
//! kernel.guard()              -> Result<bool, KernelError>        at process start; true: guards were put up, false: our rules are there
//! kernel.stamp()              -> Result<Option<Stamp>, KernelError>
//! kernel.apply(&Snapshot, &Revision, holding) -> Result<Applied, KernelError>
//! kernel.flush(&Flush)        -> Result<(), KernelError>          again, 50 ms after an apply that removed entries
//! kernel.inspect()            -> Result<Inspection, KernelError>  each second, and after each wake of Events
//! kernel.repair()             -> Result<usize, KernelError>       how many things were mended
//! kernel.events()             -> Result<Events, KernelError>      Send; events.wait(timeout) -> Result<Vec<Event>, _> blocks
//! kernel.announce(&[IpAddr])  -> Result<usize, KernelError>       frames sent; EIPs and LAN next hops
//! kernel.addresses()          -> Vec<IpAddr>                      all that the instance answers for when it holds
//! kernel.probe_conflict(&[IpAddr], Duration) -> Result<Vec<Conflict>, KernelError>
//! kernel.clear()              -> Result<(), KernelError>
//! ```

mod flows;
mod report;

pub use flows::Flush;
pub use report::{
    Applied, Conflict, Inspection, KernelError, KernelOptions, Problem, ProblemKind, Rejected,
    Stamp, Unusable, UnusableReason, UplinkState,
};
