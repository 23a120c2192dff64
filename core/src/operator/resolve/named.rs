//! The EIPs that a rule names: there, accepted, staying, and of one gateway.

use sluice_crds::condition::Reason;

use super::super::event::Key;
use super::super::verdict::{Resolved, refuse};
use super::Views;
use super::eip::EipView;
use super::rules::Ask;

/// The field by which a rule names its EIP.
fn field(ask: &Ask) -> &'static str {
    match ask {
        Ask::Snat(..) => "spec.eips",
        Ask::Fip(..) | Ask::Dnat { .. } => "spec.eip",
    }
}

/// An EIP that a rule may stand on; one that was taken up before keeps an EIP
/// that is being deleted.
pub(super) fn usable<'a>(
    views: &'a Views,
    eip: &Key,
    finalized: bool,
    ask: &Ask,
) -> Resolved<&'a EipView> {
    let field = field(ask);
    let Some(view) = views.eips.get(eip) else {
        return refuse(
            Reason::EIPNotFound,
            format!(
                "{field}: EIP {} does not exist in namespace {}; create it",
                eip.name, eip.namespace
            ),
        );
    };
    if view.deleting && !finalized {
        return refuse(
            Reason::EIPTerminating,
            format!(
                "{field}: EIP {} is being deleted; wait until it is gone and create it anew, or name another",
                eip.name
            ),
        );
    }
    if !view.verdict.ok {
        return refuse(
            Reason::EIPNotAccepted,
            format!(
                "{field}: EIP {} is not accepted ({}); see its conditions",
                eip.name, view.verdict.reason
            ),
        );
    }
    Ok(view)
}

/// Whether all are of the first one's gateway.
pub(super) fn one_gateway(eips: &[(&Key, &EipView)]) -> Resolved<()> {
    let Some(((first, known), rest)) = eips.split_first() else {
        return Ok(());
    };
    let other = rest.iter().find(|(_, view)| view.gateway != known.gateway);
    let Some((eip, view)) = other else {
        return Ok(());
    };
    refuse(
        Reason::GatewayMismatch,
        format!(
            "spec.eips: EIP {} is of NATGateway {}/{} and EIP {} of {}/{}, and one gateway translates by a SNAT; move one to the other's gateway, or create a SNAT for each",
            first.name,
            known.gateway.namespace,
            known.gateway.name,
            eip.name,
            view.gateway.namespace,
            view.gateway.name
        ),
    )
}
