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
    let spans = match start_logging(&options) {
        Ok(spans) => spans,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = run(options, || Operator::new(OperatorSettings::default())).await;
    if let Err(error) = &ended {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        tracing::error!(%error, cause, "the operator ends");
    }
    if let Some(spans) = spans {
        spans.finish().await;
    }
    ended.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
