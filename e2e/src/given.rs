//! The cluster that a person names by `SLUICE_CLUSTER`, to be used instead of a
//! lab. An exported `KUBECONFIG` is never used: it may name a cluster of worth.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;

use crate::error::{LabError, Result};

/// The variable that names a kubeconfig.
const VARIABLE: &str = "SLUICE_CLUSTER";

/// A cluster that is not ours. Its display names server, context and file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    kubeconfig: PathBuf,
    context: String,
    server: String,
}

impl Given {
    /// The one that is named now, if any; an empty name is none.
    ///
    /// # Errors
    /// As [`Given::read`].
    pub fn here() -> Result<Option<Self>> {
        env::var_os(VARIABLE)
            .filter(|value| !value.is_empty())
            .map(|value| Self::read(Path::new(&value)))
            .transpose()
    }

    /// The cluster of a kubeconfig's current context.
    ///
    /// # Errors
    /// When the file cannot be read, or has no current context with a server.
    pub fn read(kubeconfig: &Path) -> Result<Self> {
        let file = kubeconfig.display();
        let content = Kubeconfig::read_from(kubeconfig)
            .map_err(|error| LabError::Content(format!("{VARIABLE}={file}: {error}")))?;
        let context = content.current_context.clone().unwrap_or_default();
        let server = server(&content).ok_or_else(|| {
            LabError::Content(format!(
                "{VARIABLE}={file}: its current context {context:?} names no server: \
                 choose another by `kubectl config use-context`"
            ))
        })?;
        Ok(Self {
            kubeconfig: kubeconfig.to_path_buf(),
            context,
            server,
        })
    }

    /// The file that it was read from.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, context) = (self.kubeconfig.display(), &self.context);
        write!(f, "{} (context {context} of {file})", self.server)
    }
}

fn server(content: &Kubeconfig) -> Option<String> {
    let current = content.current_context.as_ref()?;
    let context = content.contexts.iter().find(|c| c.name == *current)?;
    let cluster = &context.context.as_ref()?.cluster;
    let cluster = content.clusters.iter().find(|c| c.name == *cluster)?;
    cluster.cluster.as_ref()?.server.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(current: &str) -> Kubeconfig {
        Kubeconfig::from_yaml(&format!(
            "apiVersion: v1
kind: Config
current-context: {current}
clusters:
- {{name: one, cluster: {{server: 'https://one:6443'}}}}
- {{name: two, cluster: {{server: 'https://two:6443'}}}}
contexts:
- {{name: first, context: {{cluster: one, user: u}}}}
- {{name: second, context: {{cluster: two, user: u}}}}
- {{name: loose, context: {{cluster: gone, user: u}}}}
users: []
"
        ))
        .unwrap()
    }

    #[test]
    fn the_server_is_that_of_the_current_context() {
        assert_eq!(
            server(&parsed("first")).as_deref(),
            Some("https://one:6443")
        );
        assert_eq!(
            server(&parsed("second")).as_deref(),
            Some("https://two:6443")
        );
        for none in ["loose", "absent", "''"] {
            assert_eq!(server(&parsed(none)), None, "{none}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Given::read(Path::new("/not/there")).unwrap_err();
        assert!(error.to_string().starts_with("SLUICE_CLUSTER=/not/there: "));
    }
}
