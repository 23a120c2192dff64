//! What can be said on the command line of `sluice-lab`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::families::Families;
use crate::ovn::Servers;

/// A real Kubernetes cluster on this machine, to try and to test Sluice on.
#[derive(Debug, Parser)]
#[command(name = "sluice-lab", version)]
pub(super) struct Arguments {
    /// Which lab; each name is a lab of its own.
    #[arg(long, global = true, default_value = "default")]
    pub(super) name: String,
    #[command(subcommand)]
    pub(super) command: Action,
}

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Brings a lab up; on one that is up, loads images that were rebuilt.
    Up(Up),
    /// Takes a lab down and removes every trace of it.
    Down,
    /// Says what runs, and where.
    Status,
    /// Runs a command of this machine in a host's network namespace.
    Exec {
        /// client, client2, router, cp, node/NAME, pod/NAMESPACE/NAME, chassisN or vmN.
        host: String,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
    /// Sends a signal to the processes of a pod.
    Signal {
        /// pod/NAMESPACE/NAME.
        pod: String,
        /// What to send.
        #[arg(value_enum, ignore_case = true)]
        signal: PodSignal,
    },
    /// Breaks and mends a node.
    Node {
        /// node-a, node-b and so on.
        node: String,
        /// What to do to it.
        #[arg(value_enum)]
        action: NodeAction,
    },
    /// Stops (scales to 0), starts or kills the operator.
    Operator {
        /// What to do to it.
        #[arg(value_enum)]
        action: OperatorAction,
    },
    /// Stops or starts the API server.
    Apiserver {
        /// What to do to it.
        #[arg(value_enum)]
        action: OnOff,
    },
    /// Records a host's packets to FILE (pcap).
    Capture(Capture),
    /// Probes ADDRESS and prints one JSON line per request.
    Probe(Probe),
    /// Runs a command of the OVN network (of a lab that is up with --ovn): nbctl and sbctl with
    /// their arguments, northbound, southbound, leader, stop-controller N, kill-chassis N, ...
    Ovn {
        /// The command and its words; ovn-lab/lab.sh has them all.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        words: Vec<String>,
    },
    /// Packs images that were rebuilt and imports them on every node.
    Load,
    /// Packs images that were rebuilt, without a lab.
    Images,
    /// Runs our kubectl on the lab.
    #[command(disable_help_flag = true)]
    Kubectl {
        /// kubectl's arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What the lab runs by itself.
    #[command(hide = true, subcommand)]
    Internal(Internal),
}

#[derive(Debug, Args)]
pub(super) struct Up {
    /// How many nodes, 1 to 9.
    #[arg(long, default_value_t = 2)]
    pub(super) nodes: u8,
    /// The IP families of all networks.
    #[arg(long, value_enum, default_value_t)]
    pub(super) families: Families,
    /// Leaves the operator out.
    #[arg(long)]
    pub(super) no_operator: bool,
    /// Leaves our kinds out too: a cluster that has never seen Sluice.
    #[arg(long, requires = "no_operator")]
    pub(super) no_definitions: bool,
    /// Leaves the tenant pods out.
    #[arg(long)]
    pub(super) no_tenants: bool,
    /// Notices dead nodes in 5 s and replaces their pods 3 s later.
    #[arg(long)]
    pub(super) fast_node_timers: bool,
    /// With an OVN network beside it, whose databases have one server each, or three.
    #[arg(long, value_name = "SERVERS", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub(super) ovn: Option<Servers>,
    /// The databases listen by TLS, and ask for certificates (Secret net/ovn-tls).
    #[arg(long, requires = "ovn")]
    pub(super) ovn_tls: bool,
}

#[derive(Debug, Args)]
pub(super) struct Capture {
    /// client, client2, router, cp, node/NAME, pod/NAMESPACE/NAME, chassisN or vmN.
    pub(super) host: String,
    /// Where to write.
    pub(super) file: PathBuf,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    pub(super) seconds: f64,
    /// Which packets, as tcpdump has it.
    #[arg(long, default_value = "")]
    pub(super) filter: String,
    /// Which interface.
    #[arg(long, default_value = "any")]
    pub(super) interface: String,
}

#[derive(Debug, Args)]
pub(super) struct Probe {
    /// Whom to ask.
    pub(super) address: IpAddr,
    /// Between two requests: 1ms, 0.5s, 2s.
    #[arg(long, default_value = "100ms", value_parser = duration)]
    pub(super) interval: Duration,
    /// The host that asks.
    #[arg(long, default_value = "client")]
    pub(super) from: String,
    /// The port to ask; 80, and 5353 with --udp.
    #[arg(long)]
    pub(super) port: Option<u16>,
    /// How long; for ever when unset.
    #[arg(long)]
    pub(super) seconds: Option<f64>,
    /// After how long a request counts as unanswered.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(super) patience: Duration,
    /// A connection and an HTTP request each time (the default).
    #[arg(long, conflicts_with = "udp")]
    pub(super) tcp: bool,
    /// Datagrams; best for intervals of a millisecond.
    #[arg(long)]
    pub(super) udp: bool,
    /// With --udp: a new flow each time.
    #[arg(long, requires = "udp")]
    pub(super) fresh: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(super) enum PodSignal {
    Stop,
    Cont,
    Kill,
    Term,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum NodeAction {
    /// Power off: everything on it dies at once.
    Off,
    /// Power on, with a fresh boot ID.
    On,
    /// Stops every process; the kernel goes on.
    Freeze,
    /// Continues them.
    Thaw,
    /// Cuts it and its pods off from the API server.
    PartitionApi,
    /// Heals that.
    Heal,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum OnOff {
    Stop,
    Start,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum OperatorAction {
    Stop,
    Start,
    Kill,
}

#[derive(Debug, Subcommand)]
pub(super) enum Internal {
    Spawn {
        lab: String,
    },
    Init {
        #[arg(long)]
        die_with_parent: bool,
        #[arg(trailing_var_arg = true)]
        args: Vec<String>,
    },
    Supervise {
        lab: String,
    },
    Node {
        lab: String,
        node: String,
    },
    NodeMain {
        lab: String,
        node: String,
    },
    Import {
        lab: String,
    },
    Guard {
        lab: String,
    },
    HookBootId {
        file: PathBuf,
    },
}

/// A duration such as `500us`, `1ms`, `0.5s` or `2m`.
fn duration(text: &str) -> std::result::Result<Duration, String> {
    let at = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => {
            return Err(format!(
                "{text:?} has no unit: use us, ms, s or m, as in 1ms"
            ));
        }
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("{text:?} does not start with a number"))?;
    let value = Duration::try_from_secs_f64(number * factor).map_err(|error| error.to_string())?;
    if value.is_zero() {
        Err(format!("{text:?} is zero"))
    } else {
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_are_not_zero() {
        assert_eq!(duration("1ms").unwrap(), Duration::from_millis(1));
        assert_eq!(duration("0.5s").unwrap(), Duration::from_millis(500));
        for wrong in ["1", "ms", "-1s", "0s", "1h", "", "1.2.3s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
