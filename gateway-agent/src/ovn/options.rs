//! Flags of the OVN data plane.

use std::path::PathBuf;

use clap::Args;
use ovsdb_client::{BadRemote, Config, Remote, TableMonitor, Tls};

/// Where OVN's databases are, and where in them the gateway is.
#[derive(Clone, Debug, Default, Args)]
pub struct OvnOptions {
    /// The northbound database's servers, with commas between: unix:PATH, tcp:HOST:PORT or
    /// ssl:HOST:PORT.
    #[arg(
        long,
        env = "OVN_NORTHBOUND",
        default_value = "",
        required_if_eq("dataplane", "ovn")
    )]
    pub northbound: String,
    /// The southbound database's servers, likewise: it is only read.
    #[arg(
        long,
        env = "OVN_SOUTHBOUND",
        default_value = "",
        required_if_eq("dataplane", "ovn")
    )]
    pub southbound: String,
    /// Name of the logical router that the gateway's rows go to.
    #[arg(
        long,
        env = "OVN_ROUTER",
        default_value = "",
        required_if_eq("dataplane", "ovn")
    )]
    pub router: String,
    /// Name of its port by which traffic comes and goes.
    #[arg(
        long,
        env = "OVN_GATEWAY_PORT",
        default_value = "",
        required_if_eq("dataplane", "ovn")
    )]
    pub gateway_port: String,
    /// For ssl: the authority's certificate, PEM.
    #[arg(long, env = "OVN_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// For ssl: the own certificate, PEM.
    #[arg(long, env = "OVN_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// For ssl: the own key, PEM.
    #[arg(long, env = "OVN_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
}

impl OvnOptions {
    /// A client of a database on servers that were named so.
    pub(super) fn config(
        &self,
        remotes: &str,
        database: &str,
        monitors: Vec<TableMonitor>,
    ) -> Result<Config, String> {
        let text = |error: BadRemote| error.to_string();
        let mut config = Config::new(Remote::list(remotes).map_err(text)?, database);
        config.monitors = monitors;
        config.tls = self.tls()?;
        Ok(config)
    }

    fn tls(&self) -> Result<Option<Tls>, String> {
        match (&self.tls_ca, &self.tls_cert, &self.tls_key) {
            (Some(ca), Some(cert), Some(key)) => Tls::from_files(ca, cert, key)
                .map(Some)
                .map_err(|error| error.to_string()),
            (None, None, None) => Ok(None),
            _ => Err("give all of --tls-ca, --tls-cert and --tls-key, or none".to_owned()),
        }
    }
}
