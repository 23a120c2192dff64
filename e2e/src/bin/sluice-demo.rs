//! `sluice-demo`: the demonstration, see `make demo`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match sluice_e2e::demo::run("demo").await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {}", error.one_line());
            ExitCode::FAILURE
        }
    }
}
