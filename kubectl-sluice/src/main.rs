//! The plugin's process: flags in, text out.

use std::process::ExitCode;

use clap::Parser as _;
use kubectl_sluice::options::Options;
use kubectl_sluice::run::run;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
