//! Why a scenario did not pass.

use sluice_e2e::LabError;

/// Why a scenario did not pass.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The product, or what is around it, did the wrong thing.
    #[error("{0}")]
    Wrong(String),
    /// The scenario cannot run here.
    #[error("{0}")]
    Skip(String),
}

/// What a scenario ends with.
pub type Outcome<T = ()> = Result<T, Failure>;

impl From<LabError> for Failure {
    fn from(error: LabError) -> Self {
        Self::Wrong(error.one_line())
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        Self::Wrong(format!("the API server: {error}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Wrong(error.to_string())
    }
}

/// A wrong outcome, told in one sentence.
pub fn wrong<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Failure::Wrong(text.into()))
}

/// Fails with `text` unless `holds`.
pub fn demand(holds: bool, text: impl FnOnce() -> String) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure::Wrong(text()))
    }
}
