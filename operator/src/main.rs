//! The operator's process: flags, logging, the decisions of `sluice-core`.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;
use sluice_core::operator::{Operator, OperatorSettings};
use sluice_operator::options::{Options, start_logging};
use sluice_operator::run::run;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    start_logging(&options);
    match run(options, || Operator::new(OperatorSettings::default())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::error!(%error, cause, "the operator ends");
            ExitCode::FAILURE
        }
    }
}
