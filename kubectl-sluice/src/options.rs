//! Flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::target::Target;
use crate::trace::{End, Transport};

#[cfg(test)]
mod fuzz;

/// What Sluice's gateways do, and why something is not Ready.
#[derive(Debug, Parser)]
#[command(name = "kubectl-sluice", bin_name = "kubectl sluice", version)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to reach the cluster.
    #[command(flatten)]
    pub cluster: Cluster,
    /// Form of what is printed.
    #[arg(short, long, value_enum, global = true, default_value = "text")]
    pub output: Format,
    /// Colours; `auto`: on a terminal where NO_COLOR is not set.
    #[arg(long, value_enum, global = true, default_value = "auto")]
    pub color: Color,
}

/// How to reach the cluster.
#[derive(Clone, Debug, Default, Args)]
pub struct Cluster {
    /// The kubeconfig, as for kubectl.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Namespace of the objects that are named.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Namespace of the operator.
    #[arg(long, global = true, default_value = "sluice-system")]
    pub operator_namespace: String,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Gateways, holders, revisions, and what is not Ready and why
    Status,
    /// Why an object is Ready or not: the evidence, step by step
    Explain {
        /// KIND/NAME, as eip/web, fip/web, dnat/web, snat/out, natgw/egress, pool/external
        #[arg(required = true)]
        targets: Vec<Target>,
    },
    /// Wait until objects are Ready, or gone; explain those that are not in time
    Wait {
        /// KIND/NAME
        #[arg(required = true)]
        targets: Vec<Target>,
        /// What to wait for.
        #[arg(long = "for", value_enum, default_value = "ready")]
        until: Until,
        /// Seconds to wait at most.
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
    /// What becomes of a packet by a gateway's rules, and which objects say so
    Trace {
        /// The gateway, in the namespace of -n
        gateway: String,
        /// ADDRESS or ADDRESS:PORT that sends
        #[arg(long)]
        from: End,
        /// ADDRESS or ADDRESS:PORT that it is sent to
        #[arg(long)]
        to: End,
        /// The protocol
        #[arg(long, value_enum, default_value = "tcp")]
        protocol: Transport,
    },
    /// Who had an EIP's port, by the gateways' logs of flows
    Who {
        /// `ADDRESS:PORT` of the EIP; `[ADDRESS]:PORT` for IPv6
        endpoint: std::net::SocketAddr,
        /// At which moment (RFC 3339); default: at any
        #[arg(long)]
        at: Option<k8s_openapi::jiff::Timestamp>,
    },
    /// Ports of EIPs that run short, and sources that are refused
    Ports,
    /// Foreign changes that gateways undid, and what is wrong with them now
    Drift,
    /// Write what helps to help into a folder: objects, logs, no secrets
    Bundle {
        /// The folder; it is made
        #[arg(default_value = "sluice-bundle")]
        folder: PathBuf,
    },
    /// Remove Sluice in the order that leaves nothing behind
    Uninstall {
        /// Do it. Without this flag: only say what would be done.
        #[arg(long)]
        yes: bool,
        /// Leave the operator and the definitions, as before `helm uninstall`
        #[arg(long)]
        keep_operator: bool,
        /// Leave the definitions
        #[arg(long)]
        keep_crds: bool,
        /// Remove the definitions although the operator is left
        #[arg(long, requires = "keep_operator", conflicts_with = "keep_crds")]
        definitions: bool,
        /// Seconds for each step.
        #[arg(long, default_value_t = 120)]
        timeout: u64,
    },
    /// Print the completion of a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What `wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// The object is Ready, at its present generation.
    Ready,
    /// There is no such object.
    Deleted,
}

/// Form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For people with wide screens.
    Wide,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
