//! One request: bounded in time, counted, its failure told apart.

use std::time::Duration;

use crate::metrics::Metrics;
use crate::run::chain;

/// The longest that one request may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a request was not carried out, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// 404.
    #[error("not found")]
    NotFound,
    /// 409 for a write of what stands: a precondition failed.
    #[error("changed by somebody else")]
    Conflict,
    /// 409 for a create.
    #[error("exists already")]
    AlreadyExists,
    /// 401.
    #[error("token refused")]
    Unauthorized,
    /// Refused, failed, or not answered in time.
    #[error("{0}")]
    Other(String),
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_not_found() => Self::NotFound,
            kube::Error::Api(status) if status.is_already_exists() => Self::AlreadyExists,
            kube::Error::Api(status) if status.is_conflict() => Self::Conflict,
            kube::Error::Api(status) if status.code == 401 => Self::Unauthorized,
            other => Self::Other(chain(&other)),
        }
    }
}

/// Carries out a request.
pub(super) async fn call<T>(
    what: &'static str,
    metrics: &Metrics,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, CallError> {
    let result = match tokio::time::timeout(TIMEOUT, request).await {
        Ok(result) => result.map_err(CallError::from),
        Err(_) => Err(CallError::Other(format!(
            "no answer within {} s",
            TIMEOUT.as_secs()
        ))),
    };
    metrics.request(
        what,
        match &result {
            Ok(_) => "done",
            Err(CallError::NotFound) => "not_found",
            Err(CallError::Conflict | CallError::AlreadyExists) => "conflict",
            Err(CallError::Unauthorized) => "unauthorized",
            Err(CallError::Other(_)) => "failed",
        },
    );
    result
}
