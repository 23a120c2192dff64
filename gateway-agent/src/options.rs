//! Flags and environment of the agent.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use sluice_core::identity::Uid;
use sluice_spans::Endpoint;

use crate::kernel::KernelOptions;
use crate::ovn::OvnOptions;

#[cfg(test)]
mod fuzz;

/// Port of `/healthz`, `/readyz` and `/metrics` where `--http-bind` is not given.
pub const HTTP_PORT: u16 = 9808;

/// The agent in a NAT gateway pod of Sluice.
#[derive(Clone, Debug, Parser)]
#[command(name = "sluice-gateway-agent", version)]
pub struct Options {
    /// Name of the own Pod.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: String,
    /// UID of the own Pod.
    #[arg(long, env = "POD_UID")]
    pub pod_uid: String,
    /// Namespace of the own Pod and of the gateway.
    #[arg(long, env = "POD_NAMESPACE")]
    pub pod_namespace: String,
    /// Addresses of the own Pod (status.podIPs).
    #[arg(long, env = "POD_IPS", value_delimiter = ',')]
    pub pod_ips: Vec<IpAddr>,
    /// The pod's own interface, by which the API server is reached.
    #[arg(long, env = "POD_INTERFACE", default_value = "eth0")]
    pub pod_interface: String,
    /// Name of the own Node.
    #[arg(long, env = "NODE_NAME")]
    pub node_name: String,
    /// Name of the NATGateway.
    #[arg(long, env = "GATEWAY")]
    pub gateway: String,
    /// UID of the NATGateway.
    #[arg(long, env = "GATEWAY_UID")]
    pub gateway_uid: String,
    /// Where to serve HTTP; by default port 9808 of the pod's own addresses, never of others.
    #[arg(long, env = "HTTP_BIND", value_delimiter = ',')]
    pub http_bind: Vec<SocketAddr>,
    /// Reach the API server as this file says, not as a Pod does.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Let others change the nft tables (by default the kernel refuses it, Linux 6.9 and later).
    #[arg(long, env = "SHARED_TABLES")]
    pub shared_tables: bool,
    /// What serves the gateway.
    #[arg(long, env = "DATAPLANE", value_enum, default_value_t = DataPlaneKind::Nftables)]
    pub dataplane: DataPlaneKind,
    /// Where OVN's databases are.
    #[command(flatten)]
    pub ovn: OvnOptions,
    /// Receiver of OTLP over HTTP that spans go to, such as `http://collector:4318`.
    /// Default: none, and no spans.
    #[arg(long, env = "OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<Endpoint>,
    /// How logs are written.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// What is logged: a level, or directives such as `info,sluice_gateway_agent=debug`.
    #[arg(long, env = "LOG", default_value = "info")]
    pub log: String,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What serves a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DataPlaneKind {
    /// The kernel of the pod.
    Nftables,
    /// The chassis of an OVN network.
    Ovn,
}

impl Options {
    /// How the data plane is to be run.
    #[must_use]
    pub fn kernel(&self) -> KernelOptions {
        KernelOptions {
            pod_interface: self.pod_interface.clone(),
            node: self.node_name.clone(),
            pod_addresses: self.pod_ips.clone(),
            ownership: !self.shared_tables,
        }
    }

    /// The own Pod's UID.
    #[must_use]
    pub fn uid(&self) -> Uid {
        Uid::new(self.pod_uid.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "agent --pod-name p --pod-uid u --pod-namespace n --pod-ips 10.0.0.1 --node-name n \
                       --gateway g --gateway-uid u";

    fn parse(more: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(POD.split_whitespace().chain(more.split_whitespace()))
    }

    #[test]
    fn ovn_wants_to_be_told_where_and_nftables_does_not() {
        assert_eq!(parse("").unwrap().dataplane, DataPlaneKind::Nftables);
        let all = "--northbound unix:/nb --southbound unix:/sb --router r --gateway-port p";
        let options = parse(&format!("--dataplane ovn {all}")).unwrap();
        assert_eq!(
            (
                options.ovn.router.as_str(),
                options.ovn.gateway_port.as_str()
            ),
            ("r", "p")
        );
        for missing in ["--northbound", "--southbound", "--router", "--gateway-port"] {
            let rest = all.replace(missing, "--tls-ca");
            let error = parse(&format!("--dataplane ovn {rest}")).unwrap_err();
            assert!(error.to_string().contains(missing), "{error}");
        }
    }
}
