//! Objects as they are named on the command line.

use std::fmt;
use std::str::FromStr;

/// Kinds that can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the kinds' names")]
pub enum Kind {
    EIP,
    FIP,
    DNAT,
    SNAT,
    NATGateway,
    EIPPool,
}

impl Kind {
    /// All, users' objects first.
    pub const ALL: [Self; 6] = [
        Self::EIP,
        Self::FIP,
        Self::DNAT,
        Self::SNAT,
        Self::NATGateway,
        Self::EIPPool,
    ];

    /// The plural, as in paths.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::EIP => "eips",
            Self::FIP => "fips",
            Self::DNAT => "dnats",
            Self::SNAT => "snats",
            Self::NATGateway => "natgateways",
            Self::EIPPool => "eippools",
        }
    }

    /// Whether objects of the kind are in namespaces.
    #[must_use]
    pub fn is_namespaced(self) -> bool {
        self != Self::EIPPool
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// `KIND/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Kind of the object.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// A text that is not `KIND/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// No slash.
    #[error("{0:?} is not KIND/NAME, as eip/web")]
    NoSlash(String),
    /// An unknown kind.
    #[error("{0:?} is no kind of Sluice: use eip, fip, dnat, snat, natgw or pool")]
    NoKind(String),
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text
            .split_once('/')
            .filter(|(_, name)| !name.is_empty())
            .ok_or_else(|| BadTarget::NoSlash(text.to_owned()))?;
        let lower = kind.to_ascii_lowercase();
        let word = lower.strip_suffix(".sluice.dev").unwrap_or(&lower);
        let kind = match word {
            "eip" | "eips" => Kind::EIP,
            "fip" | "fips" => Kind::FIP,
            "dnat" | "dnats" => Kind::DNAT,
            "snat" | "snats" => Kind::SNAT,
            "natgw" | "natgateway" | "natgateways" | "gateway" => Kind::NATGateway,
            "pool" | "eippool" | "eippools" => Kind::EIPPool,
            _ => return Err(BadTarget::NoKind(kind.to_owned())),
        };
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}
