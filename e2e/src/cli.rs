//! The command line of `sluice-lab`.

mod arguments;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use arguments::{
    Action, Arguments, Internal, NodeAction, OnOff, OperatorAction, PodSignal, Probe, Up,
};
use clap::Parser;
use rustix::process::Signal;

use crate::capture;
use crate::control::Request;
use crate::control_plane::Component;
use crate::echo::UDP_PORT;
use crate::error::{Doing, LabError, Result};
use crate::host::Host;
use crate::image;
use crate::init;
use crate::lab::{Lab, guard};
use crate::netns;
use crate::node;
use crate::options::UpOptions;
use crate::ovn::OvnOptions;
use crate::paths::LabPaths;
use crate::plugins;
use crate::probe;
use crate::supervisor;

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let called = std::env::args().next().unwrap_or_default();
    let plugin: Option<fn() -> Result<()>> = if called.ends_with(crate::node_config::BORN_PLUGIN) {
        Some(plugins::pod_defaults)
    } else if called.ends_with(crate::node_config::LAN_PLUGIN) {
        Some(plugins::lan_only_default)
    } else {
        None
    };
    if let Some(plugin) = plugin {
        return match plugin() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("{}", plugins::cni_error(&error));
                ExitCode::FAILURE
            }
        };
    }
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sluice-lab: {}", error.one_line());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let name = arguments.name;
    match arguments.command {
        Action::Up(up) => bring_up(&name, &up)?,
        Action::Down => {
            let start = Instant::now();
            Lab::down(&name)?;
            println!(
                "lab {name} is down ({:.1} s)",
                start.elapsed().as_secs_f64()
            );
        }
        Action::Status => return status(&name),
        Action::Exec { host, argv } => return exec(&name, &host, &argv),
        Action::Signal { pod, signal } => {
            let signal = match signal {
                PodSignal::Stop => Signal::STOP,
                PodSignal::Cont => Signal::CONT,
                PodSignal::Kill => Signal::KILL,
                PodSignal::Term => Signal::TERM,
            };
            let count = Lab::open(&name)?.signal(&pod.parse()?, signal)?;
            println!("{count} processes signalled");
        }
        Action::Node { node, action } => {
            let request = match action {
                NodeAction::Off => Request::NodeOff { node },
                NodeAction::On => Request::NodeOn { node },
                NodeAction::Freeze => Request::Freeze { node, frozen: true },
                NodeAction::Thaw => Request::Freeze {
                    node,
                    frozen: false,
                },
                NodeAction::PartitionApi => Request::Partition { node, cut: true },
                NodeAction::Heal => Request::Partition { node, cut: false },
            };
            Lab::open(&name)?.ask(&request)?;
        }
        Action::Operator { action } => operator(&name, action)?,
        Action::Apiserver { action } => {
            let component = Component::ApiServer;
            let request = match action {
                OnOff::Stop => Request::Stop { component },
                OnOff::Start => Request::Start { component },
            };
            Lab::open(&name)?.ask(&request)?;
        }
        Action::Capture(wish) => capture::run(
            &Lab::open(&name)?,
            &wish.host.parse()?,
            &wish.file,
            &wish.interface,
            &wish.filter,
            seconds(wish.seconds)?,
        )?,
        Action::Probe(wish) => probe_address(&name, &wish)?,
        Action::Ovn { words } => {
            println!("{}", Lab::open(&name)?.ovn(&words)?.trim_end());
        }
        Action::Load => println!("packed: {}", Lab::open(&name)?.load_images()?.join(", ")),
        Action::Images => {
            println!(
                "packed: {}",
                image::pack_all(&LabPaths::new(&name)?)?.join(", ")
            );
        }
        Action::Kubectl { args } => {
            let error = Lab::open(&name)?.kubectl().args(args).exec();
            return Err(error).doing(|| "run kubectl".into());
        }
        Action::Internal(internal) => return run_internal(internal),
    }
    Ok(ExitCode::SUCCESS)
}

fn run_internal(internal: Internal) -> Result<ExitCode> {
    match internal {
        Internal::Spawn { lab } => init::spawn_lab(&LabPaths::new(&lab)?)?,
        Internal::Init {
            die_with_parent,
            args,
        } => {
            let status = init::run(&args, die_with_parent)?;
            return Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)));
        }
        Internal::Supervise { lab } => supervisor::run_forever(LabPaths::new(&lab)?)?,
        Internal::Node { lab, node } => node::boot(&LabPaths::new(&lab)?, &node)?,
        Internal::NodeMain { lab, node } => node::main(&LabPaths::new(&lab)?, &node)?,
        Internal::Import { lab } => node::import_images(&LabPaths::new(&lab)?)?,
        Internal::Guard { lab } => guard(&lab)?,
        Internal::HookBootId { file } => plugins::hook_boot_id(&file)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn bring_up(name: &str, up: &Up) -> Result<()> {
    let start = Instant::now();
    if let Ok(lab) = Lab::open(name) {
        let packed = lab.load_images()?;
        println!(
            "lab {name} is up already; images loaded anew: {}",
            packed.len()
        );
        return Ok(());
    }
    let options = UpOptions {
        name: name.to_owned(),
        nodes: up.nodes,
        families: up.families,
        operator: !up.no_operator,
        definitions: !up.no_definitions,
        tenants: !up.no_tenants,
        fast_node_timers: up.fast_node_timers,
        ovn: up.ovn.map(|servers| OvnOptions {
            servers,
            tls: up.ovn_tls,
        }),
    };
    let mut lab = Lab::up(&options, &|text| {
        println!("[{:5.1} s] {text}", start.elapsed().as_secs_f64());
    })?;
    lab.keep();
    println!(
        "[{:5.1} s] lab {name} is up; KUBECONFIG={}",
        start.elapsed().as_secs_f64(),
        lab.paths().kubeconfig().display()
    );
    Ok(())
}

fn status(name: &str) -> Result<ExitCode> {
    let paths = LabPaths::new(name)?;
    let lab = match Lab::open(name) {
        Ok(lab) => lab,
        Err(error) => {
            println!("{}", error.one_line());
            let others: Vec<String> = paths
                .existing()
                .into_iter()
                .filter(|other| other != name)
                .collect();
            if !others.is_empty() {
                println!("other labs: {}", others.join(", "));
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let running = lab.ask(&Request::Status)?.running;
    let options = &lab.state().options;
    println!(
        "lab {name}: process {}, API at https://127.0.0.1:{}",
        lab.state().init.pid,
        lab.state().port
    );
    println!("KUBECONFIG={}", paths.kubeconfig().display());
    let components = Component::ALL.map(|component| component.program().to_owned());
    for part in components
        .into_iter()
        .chain(options.node_plans().into_iter().map(|plan| plan.name))
    {
        println!(
            "  {:<24} {}",
            part,
            if running.contains(&part) { "on" } else { "off" }
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn exec(name: &str, host: &str, argv: &[String]) -> Result<ExitCode> {
    let lab = Lab::open(name)?;
    let host: Host = host.parse()?;
    let Some((program, args)) = argv.split_first() else {
        return Err(LabError::Refused("exec needs a command".into()));
    };
    // This process becomes the command; it has one thread.
    netns::enter(&lab.netns(&host)?)?;
    let error = Command::new(program).args(args).exec();
    Err(error).doing(|| format!("run {program} on {host}"))
}

fn operator(name: &str, action: OperatorAction) -> Result<()> {
    let lab = Lab::open(name)?;
    let scale = |count: u8| {
        let mut command = lab.kubectl();
        command.args([
            "-n",
            "sluice-system",
            "scale",
            "deployment",
            "--all",
            &format!("--replicas={count}"),
        ]);
        crate::command::run(&mut command)
    };
    match action {
        OperatorAction::Stop => {
            scale(0)?;
            let mut wait = lab.kubectl();
            wait.args([
                "-n",
                "sluice-system",
                "wait",
                "--for=delete",
                "pod",
                "--all",
                "--timeout=60s",
            ]);
            crate::command::run(&mut wait)?;
        }
        OperatorAction::Start => drop(scale(1)?),
        OperatorAction::Kill => {
            let mut list = lab.kubectl();
            list.args(["-n", "sluice-system", "get", "pods", "-o", "name"]);
            let mut killed = 0;
            for pod in crate::command::run(&mut list)?.lines() {
                let host: Host =
                    format!("pod/sluice-system/{}", pod.trim_start_matches("pod/")).parse()?;
                // A pod without a process is one that is just being replaced.
                killed += lab.signal(&host, Signal::KILL).unwrap_or(0);
            }
            if killed == 0 {
                return Err(LabError::Refused(
                    "no operator process runs: `sluice-lab operator start` first".into(),
                ));
            }
        }
    }
    Ok(())
}

fn probe_address(name: &str, wish: &Probe) -> Result<()> {
    let lab = Lab::open(name)?;
    let method = match (wish.udp, wish.fresh) {
        (true, true) => probe::Method::UdpFresh,
        (true, false) => probe::Method::Udp,
        _ => probe::Method::Tcp,
    };
    let port = wish.port.unwrap_or(if wish.udp { UDP_PORT } else { 80 });
    let plan = probe::Plan {
        interval: wish.interval,
        patience: wish.patience,
        length: wish.seconds.map(seconds).transpose()?,
        ..probe::Plan::new(wish.address, method, port)
    };
    let stop = Arc::new(AtomicBool::new(false));
    let namespace = lab.netns(&wish.from.parse()?)?;
    probe::run(&namespace, plan, &stop, |sample| {
        if let Ok(text) = serde_json::to_string(&sample) {
            println!("{text}");
        }
    })
}

fn seconds(value: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|error| LabError::Refused(format!("{value} is no number of seconds: {error}")))
}
