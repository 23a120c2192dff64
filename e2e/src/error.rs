//! What can go wrong in the lab.

use std::io;

/// An error of the lab. Its text says what was being done and, where a person
/// can do something about it, what to do.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A system call or a file operation failed.
    #[error("cannot {action}")]
    Io {
        /// What was being done, as a verb phrase.
        action: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A program that the lab runs failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// The API server refused, or could not be reached.
    #[error("cannot {action}")]
    Api {
        /// What was being done, as a verb phrase.
        action: String,
        /// Why it failed.
        #[source]
        source: Box<kube::Error>,
    },
    /// A file or an answer has a content that cannot be used.
    #[error("{0}")]
    Content(String),
    /// The lab is not in a state that permits this. The text names the remedy.
    #[error("{0}")]
    Refused(String),
    /// Something did not happen in time.
    #[error("{what} did not happen within {secs} s; {hint}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        secs: u64,
        /// Where to look.
        hint: String,
    },
}

/// The result of lab operations.
pub type Result<T> = std::result::Result<T, LabError>;

/// Adds to a failed operation what was being done.
pub trait Doing<T> {
    /// Names the operation, as a verb phrase that follows "cannot".
    ///
    /// # Errors
    /// Exactly when the operation failed.
    fn doing(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| LabError::Io {
            action: action(),
            source,
        })
    }
}

impl<T> Doing<T> for std::result::Result<T, rustix::io::Errno> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| LabError::Io {
            action: action(),
            source: errno.into(),
        })
    }
}

impl<T> Doing<T> for std::result::Result<T, kube::Error> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| LabError::Api {
            action: action(),
            source: Box::new(source),
        })
    }
}

impl LabError {
    /// The error with its causes, on one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text.push_str(": ");
                text.push_str(&inner_text);
            }
            cause = inner.source();
        }
        text
    }
}
