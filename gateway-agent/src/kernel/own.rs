//! An uplink's own address: one resolver for both families.
//!
//! The gateway's spec goes before the Node's annotation, that before what the interface
//! has, that before what the default route names. What somebody asked for and is not there
//! is an error: no other address is taken in its place.

use std::fmt;
use std::net::IpAddr;

use sluice_crds::address::{AddressError, parse_host};
use sluice_crds::names::ANNOTATION_UPLINK_ADDRESS;

#[cfg(test)]
mod tests;

/// What is known of one uplink and family.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The gateway's spec.
    pub spec: Option<IpAddr>,
    /// The Node's annotation.
    pub annotation: Option<IpAddr>,
    /// The interface's own addresses of this family, the oldest first: no EIPs, and none
    /// that are temporary, deprecated, tentative or link-local.
    pub interface: &'a [IpAddr],
    /// What a default route by this interface names as the source.
    pub default_route: Option<IpAddr>,
}

/// An override that the interface does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotThere {
    /// The address that was asked for.
    pub asked: IpAddr,
    /// Where it was asked for.
    pub by: By,
}

/// Where an address was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `uplinks.address` of the NATGateway.
    Spec,
    /// The annotation of the Node.
    Annotation,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec => f.write_str("the NATGateway's uplinks.address"),
            Self::Annotation => write!(f, "the Node's annotation {ANNOTATION_UPLINK_ADDRESS}"),
        }
    }
}

/// The own address of an uplink in one family; `None` where it has none.
///
/// # Errors
/// [`NotThere`].
pub fn resolve(known: Known<'_>) -> Result<Option<IpAddr>, NotThere> {
    let asked = match (known.spec, known.annotation) {
        (Some(asked), _) => Some((asked, By::Spec)),
        (None, Some(asked)) => Some((asked, By::Annotation)),
        (None, None) => None,
    };
    match asked {
        Some((asked, _)) if known.interface.contains(&asked) => Ok(Some(asked)),
        Some((asked, by)) => Err(NotThere { asked, by }),
        None => Ok(known.interface.first().copied().or(known.default_route)),
    }
}

/// What is wrong with the annotation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnnotation {
    /// An address that is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A name that no uplink of the gateway has.
    #[error(
        "{0:?} is no uplink of this gateway: write UPLINK=ADDRESS, or ADDRESS for the first uplink"
    )]
    NoUplink(String),
    /// Two addresses of one family for one uplink.
    #[error("{0} is the second address of its family for one uplink: write at most one per family")]
    Second(IpAddr),
}

/// Reads the annotation: addresses separated by commas, each for the first uplink or, as
/// `UPLINK=ADDRESS`, for the one that it names. Returns index of the uplink and address.
///
/// # Errors
/// [`BadAnnotation`]; nothing of it counts then.
pub fn annotation(text: &str, uplinks: &[&str]) -> Result<Vec<(usize, IpAddr)>, BadAnnotation> {
    let mut list: Vec<(usize, IpAddr)> = Vec::new();
    for item in text.split(',').map(str::trim) {
        let (index, address) = match item.split_once('=') {
            Some((name, address)) => {
                let index = uplinks.iter().position(|uplink| *uplink == name.trim());
                let unknown = || BadAnnotation::NoUplink(name.chars().take(63).collect());
                (index.ok_or_else(unknown)?, address.trim())
            }
            None => (0, item),
        };
        let address = parse_host(address)?;
        let same =
            |known: &&(usize, IpAddr)| known.0 == index && known.1.is_ipv4() == address.is_ipv4();
        if list.iter().any(|known| same(&known)) {
            return Err(BadAnnotation::Second(address));
        }
        list.push((index, address));
    }
    Ok(list)
}
