//! What the end-to-end scenarios prove things with: a record of everything that
//! the API server showed, probes of every address, a look-out for packets that
//! leave untranslated, the programs' logs, and the rules that all of it must obey.

pub mod checker;
pub mod history;
pub mod journal;
pub mod leak;
pub mod ping;
pub mod prober;
pub mod watcher;

pub use history::{Harm, History, Leak, Loss, Mark, Record, What};
