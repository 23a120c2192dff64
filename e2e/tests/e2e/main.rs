//! The end-to-end scenarios: a real cluster, the real operator and agents, real
//! packets in both families.
//!
//! One lab serves all scenarios, one after another. While a scenario runs,
//! every version of every object is recorded, addresses are probed every 20 ms
//! and all links are watched for packets that leave untranslated; at its end
//! the whole record is checked against the rules of `sluice_e2e::evidence`.

mod address;
mod answers;
mod bandwidth;
mod chaos;
mod cleanup;
mod dnat;
mod evidence;
mod failure;
mod faults;
mod foreign;
mod gateway;
mod inside;
mod killed;
mod leaks;
mod lessons;
mod lifecycle;
mod moves;
mod objects;
mod operator;
mod packets;
mod permits;
mod pods;
mod ports;
mod proof;
mod proxy;
mod quickstart;
mod race;
mod refused;
mod restore;
mod runner;
mod scale;
mod stage;
mod traffic;
mod uplinks;

use std::process::ExitCode;

use clap::Parser;

/// Runs the end-to-end scenarios.
#[derive(Debug, Parser)]
#[command(name = "e2e")]
pub struct Arguments {
    /// Runs only scenarios whose name contains one of these.
    filter: Vec<String>,
    /// Lists the scenarios and runs none.
    #[arg(long)]
    list: bool,
    /// Runs the long forms too.
    #[arg(long)]
    full: bool,
    /// Uses this running lab instead of bringing one up.
    #[arg(long, value_name = "NAME")]
    lab: Option<String>,
    /// Leaves the lab up at the end.
    #[arg(long)]
    keep: bool,
    /// The number that random choices start from; printed in any case.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs the scenarios this many times.
    #[arg(long, default_value_t = 1, value_name = "N")]
    repeat: u32,
    /// Runs rounds of chaos for so long instead of the scenarios; `--seed` is that of
    /// the first round.
    #[arg(long, value_name = "MINUTES")]
    chaos: Option<u64>,
}

fn main() -> ExitCode {
    runner::run(&Arguments::parse())
}
