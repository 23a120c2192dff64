//! Minor versions, as pinned and as programs say them.

use std::fmt;

/// What pins them: the module file that the built programs come from.
const PINS: &str = include_str!("../../controlplane/go.mod");

/// A major and a minor version: two programs that share them fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minor {
    major: u32,
    minor: u32,
}

impl Minor {
    /// The pinned one of a program of the control plane.
    #[must_use]
    pub fn pinned(program: &str) -> Option<Self> {
        let module = match program {
            "etcd" => "go.etcd.io/etcd/server/v3",
            _ => "k8s.io/kubernetes",
        };
        PINS.lines()
            .find_map(|line| line.trim().strip_prefix(module)?.strip_prefix(' '))
            .and_then(Self::said_in)
    }

    /// The first version in a text, such as `Kubernetes v1.36.3`.
    #[must_use]
    pub fn said_in(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(|word| {
            let mut numbers = word.strip_prefix('v').unwrap_or(word).splitn(3, '.');
            let major = numbers.next()?.parse().ok()?;
            let minor = numbers.next()?.parse().ok()?;
            numbers.next()?;
            Some(Self { major, minor })
        })
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
