//! Entry point of the gateway agent.

use std::process::ExitCode;

use clap::Parser as _;
use sluice_gateway_agent::kernel_plane::KernelPlane;
use sluice_gateway_agent::options::{DataPlaneKind, Options};
use sluice_gateway_agent::ovn::OvnPlane;
use sluice_gateway_agent::{identity, logging, memory, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    memory::one_arena();
    let options = Options::parse();
    let spans = match logging::begin(&options) {
        Ok(spans) => spans,
        Err(error) => {
            eprintln!("error: {}", run::chain(&error));
            return ExitCode::FAILURE;
        }
    };
    let ended = match options.dataplane {
        DataPlaneKind::Nftables => {
            let kernel = options.kernel();
            run::run(options, move || KernelPlane::open(kernel)).await
        }
        DataPlaneKind::Ovn => {
            let (ovn, gateway, pod) = (
                options.ovn.clone(),
                options.gateway_uid.clone(),
                options.uid(),
            );
            let open = move || {
                let me = identity::instance(pod).map_err(|error| run::chain(&error))?;
                OvnPlane::open(ovn, &gateway, &me.to_string())
            };
            run::run(options, open).await
        }
    };
    if let Err(error) = &ended {
        tracing::error!(error = %run::chain(error), "the agent ends");
    }
    if let Some(spans) = spans {
        spans.finish().await;
    }
    ended.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
