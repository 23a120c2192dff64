//! Fixed names of the API: groups, finalizers, labels, annotations.

/// Group of the kinds that users apply.
pub const GROUP: &str = "sluice.dev";
/// Group of the kinds that only the operator and the agents write.
pub const INTERNAL_GROUP: &str = "internal.sluice.dev";
/// Version of both groups.
pub const VERSION: &str = "v1alpha1";

/// On EIP, FIP, DNAT and SNAT before their first programming: holds the object
/// until no kernel can hold it any more.
pub const FINALIZER_PROGRAMMED: &str = "sluice.dev/programmed";
/// On EIPPool and NATGateway while they are in use.
pub const FINALIZER_IN_USE: &str = "sluice.dev/in-use";
/// On a gateway's Pods (by the pod template) and on GatewayInstance: holds them
/// until their instance is dead.
pub const FINALIZER_FENCED: &str = "sluice.dev/fenced";

/// Label on everything the operator makes for a gateway: the gateway's UID.
pub const LABEL_GATEWAY_UID: &str = "sluice.dev/gateway-uid";
/// Label on everything the operator makes for a gateway: the gateway's name.
pub const LABEL_GATEWAY: &str = "sluice.dev/gateway";
/// Annotation on a NATGateway: the instance that a person declares dead, as its report and
/// its Lease name it, or `pod/<pod UID>` for all instances of a Pod.
pub const ANNOTATION_DECLARE_DEAD: &str = "sluice.dev/declare-dead";
/// Annotation on an object: why somebody who has the verb `break-glass` on it does
/// what an admission policy refuses.
pub const ANNOTATION_BREAK_GLASS: &str = "sluice.dev/break-glass";
/// Annotation on a Node: overrides the own addresses of uplinks there:
/// `ADDRESS[,UPLINK=ADDRESS...]`, at most one per family and uplink; without a
/// name the first uplink.
pub const ANNOTATION_UPLINK_ADDRESS: &str = "sluice.dev/uplink-address";

/// Name prefix of the objects the operator makes in a gateway's namespace
/// (Deployment, ServiceAccount, Role, RoleBinding, Lease): `sluice-<gateway>`.
pub const CHILD_PREFIX: &str = "sluice-";

/// The name of a gateway's Deployment, ServiceAccount, Role, RoleBinding and Lease.
#[must_use]
pub fn child_name(gateway: &str) -> String {
    format!("{CHILD_PREFIX}{gateway}")
}
