//! Requests to the API server: one attempt each, within a time limit, with
//! answers sorted by what they mean to the caller.

use std::time::Duration;

use http::{Method, Request, header};
use kube::Client;
use serde_json::Value;

#[cfg(test)]
mod tests;

/// Why a request did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The object that the path names does not exist.
    #[error("not found")]
    NotFound,
    /// The API server does not know the kind.
    #[error("the API server does not know this kind")]
    NoSuchKind,
    /// A create met an object of that name.
    #[error("already exists")]
    AlreadyExists,
    /// A precondition did not hold.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The asked-for history is gone: list again.
    #[error("history is gone: {0}")]
    Expired(String),
    /// The server understood and will not do it.
    #[error("refused ({code}): {message}")]
    Refused {
        /// HTTP status code.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// No answer, a server error, or an answer that makes no sense: a write
    /// may have been done or not.
    #[error("no certain answer: {0}")]
    Unknown(String),
}

/// A client that never retries by itself.
#[derive(Clone)]
pub struct Rest {
    client: Client,
    timeout: Duration,
}

impl Rest {
    /// Uses `client`, which must have been built without retries.
    #[must_use]
    pub fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    /// The client below.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads `path`.
    ///
    /// # Errors
    /// [`Failure`], as with all requests here.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, "application/json", None).await
    }

    /// Creates an object; `path` is that of its collection.
    ///
    /// # Errors
    /// [`Failure::AlreadyExists`] when the name is taken.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, "application/json", Some(object))
            .await
    }

    /// Replaces an object.
    ///
    /// # Errors
    /// [`Failure::Conflict`] when its `metadata.resourceVersion` or UID is not the stored one.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Value, Failure> {
        self.send(Method::PUT, path, "application/json", Some(object))
            .await
    }

    /// Patches an object, as RFC 7386 says.
    ///
    /// # Errors
    /// As [`Rest::replace`].
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value, Failure> {
        self.send(
            Method::PATCH,
            path,
            "application/merge-patch+json",
            Some(patch),
        )
        .await
    }

    /// Deletes an object; `options` are `DeleteOptions` with preconditions.
    ///
    /// # Errors
    /// [`Failure::Conflict`] when a precondition does not hold.
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value, Failure> {
        self.send(Method::DELETE, path, "application/json", Some(options))
            .await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let bytes = match body {
            Some(value) => {
                serde_json::to_vec(value).map_err(|e| Failure::Unknown(e.to_string()))?
            }
            None => Vec::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content)
            .header(header::ACCEPT, "application/json")
            .body(bytes)
            .map_err(|error| Failure::Unknown(format!("request for {path}: {error}")))?;
        match tokio::time::timeout(self.timeout, self.client.request_text(request)).await {
            Err(_) => Err(Failure::Unknown(format!(
                "no answer within {:?}",
                self.timeout
            ))),
            Ok(Err(error)) => Err(answered(path, &error)),
            Ok(Ok(text)) => serde_json::from_str(&text)
                .map_err(|e| Failure::Unknown(format!("answer is no JSON: {e}"))),
        }
    }
}

/// What the answer to a request for `path` means. What is not found may be another object:
/// the Role that a RoleBinding names, or whatever a webhook looked for.
fn answered(path: &str, error: &kube::Error) -> Failure {
    match (classify(error), error) {
        (Failure::NotFound, kube::Error::Api(status)) if !names(path, status) => {
            Failure::Unknown(format!("another object is not found: {}", status.message))
        }
        (failure, _) => failure,
    }
}

/// Whether a `Status` is about the object that a path is of.
fn names(path: &str, status: &kube::core::Status) -> bool {
    let Some(details) = &status.details else {
        return false;
    };
    let path = path.split('?').next().unwrap_or_default();
    let path = path.strip_suffix("/status").unwrap_or(path);
    let own = [details.name.as_str(), details.kind.as_str()];
    path.rsplit('/').take(2).eq(own)
}

/// What an error of the client means.
#[must_use]
pub fn classify(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => from_status(status),
        other => Failure::Unknown(chain(other)),
    }
}

/// What a `Status` answer means.
#[must_use]
pub fn from_status(status: &kube::core::Status) -> Failure {
    let message = status.message.clone();
    match (status.code, status.reason.as_str()) {
        (409, "AlreadyExists") => Failure::AlreadyExists,
        (409, _) => Failure::Conflict(message),
        (410, _) | (_, "Expired") => Failure::Expired(message),
        // Only an answer that names the object speaks of the object.
        (404, _) => match status.details.as_ref() {
            Some(details) if details.kind == "namespaces" => {
                Failure::Refused { code: 404, message }
            }
            Some(details) if !details.name.is_empty() => Failure::NotFound,
            _ => Failure::NoSuchKind,
        },
        (code @ (400 | 403 | 405 | 413 | 415 | 422), _) => Failure::Refused { code, message },
        (code, reason) => Failure::Unknown(format!("{code} {reason}: {message}")),
    }
}

/// The error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
