//! How Sluice's programs are connected to the API server: so that a connection which only
//! this end still believes in is noticed.
//!
//! Who watches only listens. When the other end has gone, and its word of that was lost (a
//! load balancer that was replaced, a NAT whose entry ran out, a network that was cut while
//! the API server restarted), nothing ever comes, and TCP alone waits for ever.

use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config, Error};
use tower::{BoxError, ServiceBuilder};

#[cfg(test)]
mod tests;

/// A connection on which nothing came for so long is asked whether it stands, and then once
/// in so long (`tcp(7)`: `TCP_KEEPIDLE`, `TCP_KEEPINTVL`).
const ASKED: Duration = Duration::from_secs(4);
/// What was sent, these questions too, and is not acknowledged after this time ends the
/// connection (`TCP_USER_TIMEOUT`; with it `TCP_KEEPCNT` decides nothing).
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

/// A client as kube makes one, whose connections end when the other end has: within
/// 16 s. Through a proxy, which is left to kube, TCP alone decides.
///
/// # Errors
/// As [`Client::try_from`]: certificates or credentials that cannot be read, a proxy.
pub fn connect(config: Config) -> Result<Client, Error> {
    if config.proxy_url.is_some() {
        return Client::try_from(config);
    }
    let tls = config.rustls_https_connector_with_connector(connector(config.connect_timeout))?;
    // One that accepts a connection and then is silent counts as one that cannot be reached.
    let mut tls = TimeoutConnector::new(tls);
    tls.set_connect_timeout(config.connect_timeout);
    let http: Http<_, Body> = Http::builder(TokioExecutor::new()).build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}

fn connector(connect_timeout: Option<Duration>) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(connect_timeout);
    tcp.set_keepalive(Some(ASKED));
    tcp.set_keepalive_interval(Some(ASKED));
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    tcp
}
