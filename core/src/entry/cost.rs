//! What a DNAT costs in the kernel's maps, and how much of it a gateway takes.
//!
//! The operator refuses what would be too much, and the agent builds by the same rules.

use sluice_crds::user::Ports;

use super::Body;
use super::targets::{SLOTS, Targets};

#[cfg(test)]
mod tests;

/// Elements that the DNATs of a gateway may have together where one needs more than one.
pub const EXPANDED_MAX: u32 = 65_536;

/// Ranges to the same ports of one target become one element each from this many ports on;
/// shorter ones an element per port, which is quicker to look up.
const RANGE_PORTS: u32 = 65;

/// How the ports of a DNAT stand in the kernel's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All ports of the protocol, which stay as they are.
    All,
    /// A range that stays as it is.
    Range,
    /// Port by port.
    Exact,
}

impl Form {
    /// The form of a DNAT from `ports` to as many `inside_ports`.
    #[must_use]
    pub fn of(ports: Ports, inside_ports: Ports, targets: &Targets) -> Self {
        let longest_exact = match targets.single() {
            Some(_) => RANGE_PORTS - 1,
            // A range over several targets is an element for each of them.
            None => 1,
        };
        if ports != inside_ports {
            Self::Exact
        } else if ports == Ports::ALL {
            Self::All
        } else if ports.count() > longest_exact {
            Self::Range
        } else {
            Self::Exact
        }
    }
}

/// How many elements the targets need, for each port or range.
fn each(form: Form, targets: &Targets) -> u32 {
    let drained = targets.drained().fold(0, |n, _| n + 1);
    match (form, targets.single()) {
        (_, Some(_)) => 1,
        (Form::Range, None) => targets.addresses().fold(0, |n, _| n + 1),
        (Form::All | Form::Exact, None) => SLOTS + drained,
    }
}

/// How many elements of [`EXPANDED_MAX`] a DNAT takes: 0 where one element is enough.
#[must_use]
pub fn expanded(ports: Ports, inside_ports: Ports, targets: &Targets) -> u32 {
    let form = Form::of(ports, inside_ports, targets);
    let rows = match form {
        Form::All | Form::Range => 1,
        Form::Exact => ports.count(),
    };
    match rows * each(form, targets) {
        1 => 0,
        elements => elements,
    }
}

impl Body {
    /// How many elements of [`EXPANDED_MAX`] it takes.
    #[must_use]
    pub fn expanded(&self) -> u32 {
        match self {
            Body::Dnat {
                ports,
                targets,
                inside_ports,
                ..
            } => expanded(*ports, *inside_ports, targets),
            Body::Addr { .. } | Body::Fip { .. } | Body::Snat { .. } | Body::Shape { .. } => 0,
        }
    }
}
