//! Entry point of the gateway agent.

use std::process::ExitCode;

use clap::Parser as _;
use sluice_gateway_agent::kernel_plane::KernelPlane;
use sluice_gateway_agent::options::Options;
use sluice_gateway_agent::{logging, memory, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    memory::one_arena();
    let options = Options::parse();
    logging::begin(&options);
    let kernel = options.kernel();
    match run::run(options, move || KernelPlane::open(kernel)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %run::chain(&error), "the agent ends");
            ExitCode::FAILURE
        }
    }
}
