//! `sluice-bench`: all figures, into target/bench/.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use sluice_e2e::bench::machine::Machine;
use sluice_e2e::bench::report::Report;
use sluice_e2e::bench::{cluster, flows, ovn, programming, shaping};
use sluice_e2e::{Lab, Result, UpOptions};

/// Measures Sluice beside what one would otherwise run.
#[derive(Parser)]
struct Args {
    /// Only the figures of these parts: programming, flows, shaping, ovn, cluster, scale.
    parts: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {}", error.one_line());
            ExitCode::FAILURE
        }
    }
}

fn lab() -> Result<Lab> {
    let options = UpOptions {
        name: "bench".into(),
        tenants: false,
        ..UpOptions::default()
    };
    let progress = |text: &str| println!("bench: {text}");
    tokio::task::block_in_place(|| Lab::up(&options, &progress))
}

async fn run(args: &Args) -> Result<()> {
    let wanted = |part: &str| args.parts.is_empty() || args.parts.iter().any(|p| p == part);
    let mut report = Report {
        machine: Machine::here(),
        figures: Vec::new(),
    };
    // What was measured is kept, also if what follows fails.
    let folder = Path::new("target/bench");
    if wanted("programming") {
        programming::measure(&mut report)?;
        report.write(folder)?;
    }
    if wanted("flows") {
        flows::measure(&mut report)?;
        report.write(folder)?;
    }
    if wanted("shaping") {
        shaping::measure(&mut report)?;
        report.write(folder)?;
    }
    if wanted("ovn") {
        // A data plane has a runtime of its own.
        tokio::task::block_in_place(|| ovn::measure(&mut report))?;
        report.write(folder)?;
    }
    if wanted("cluster") {
        let measured = cluster::measure(&lab()?, &mut report).await;
        report.write(folder)?;
        measured?;
    }
    if wanted("scale") {
        let measured = cluster::full(&lab()?, &mut report).await;
        report.write(folder)?;
        measured?;
    }
    println!(
        "bench: wrote {0}/report.md and {0}/report.json",
        folder.display()
    );
    Ok(())
}
