//! Where a receiver is.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// A receiver of OTLP over HTTP, such as `http://collector.monitoring:4318`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Uri);

/// A text that names no receiver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// Not a URL with a host.
    #[error("{0:?} is no URL: write http://HOST:4318")]
    NoUrl(String),
    /// A scheme that is not spoken.
    #[error("{0:?} is not http: put a collector near that does TLS")]
    NotHttp(String),
}

impl Endpoint {
    /// Where spans go: the path is OTLP's, below that of the endpoint.
    #[must_use]
    pub fn traces(&self) -> String {
        format!("{}/v1/traces", self.0.to_string().trim_end_matches('/'))
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadEndpoint::NoUrl(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        match uri.scheme_str() {
            Some("http") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(Self(uri)),
            Some("http") | None => Err(bad()),
            Some(_) => Err(BadEndpoint::NotHttp(text.to_owned())),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
