//! The agent's process against a real API server.
//!
//! The agent runs as a child process of its own, so that it can be stopped,
//! killed and started anew; its data plane is a file, which outlives it as a
//! kernel's rules do. Needs `target/lab-bin/controlplane` (`make setup`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says why it fails by failing"
)]

#[path = "agent/api_server.rs"]
mod api_server;
#[path = "agent/fake.rs"]
mod fake;
#[path = "agent/scenarios/mod.rs"]
mod scenarios;
#[path = "agent/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "agent") {
        return fake::run_agent(&args[2]);
    }
    let filter = args.iter().skip(1).find(|arg| !arg.starts_with('-'));
    let server = api_server::ApiServer::start();
    let (mut passed, mut failed) = (0, 0);
    for (name, scenario) in scenarios::ALL {
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let begun = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(scenario(&server))));
        let outcome = if ended.is_ok() { "ok" } else { "FAILED" };
        println!(
            "{name} ... {outcome} ({:.1} s)",
            begun.elapsed().as_secs_f64()
        );
        if ended.is_ok() {
            passed += 1;
        } else {
            failed += 1;
        }
    }
    drop(server);
    println!("{passed} passed, {failed} failed, 0 skipped");
    std::process::exit(i32::from(failed > 0 || passed == 0));
}
