//! Objects of users that make one gateway work.

/// The definition of attachments, as Multus brings it.
pub const NETWORKS: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: network-attachment-definitions.k8s.cni.cncf.io}
spec:
  group: k8s.cni.cncf.io
  scope: Namespaced
  names: {kind: NetworkAttachmentDefinition, singular: network-attachment-definition, plural: network-attachment-definitions}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {config: {type: string}}}}}}
"#;

/// An EIP with a FIP on a gateway, and all that these need.
pub const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: net}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: external, namespace: net}
spec: {config: '{"cniVersion": "1.0.0", "type": "bridge", "ipam": {"type": "host-local", "subnet": "10.155.30.0/24", "gateway": "10.155.30.1"}}'}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: lan, namespace: net}
spec: {config: '{"cniVersion": "1.0.0", "type": "bridge", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/16", "gateway": "10.244.0.254"}], [{"subnet": "fd00:10:244::/64", "gateway": "fd00:10:244::fe"}]]}}'}
---
apiVersion: sluice.dev/v1alpha1
kind: EIPPool
metadata: {name: external}
spec:
  cooldown: 1s
  subnets:
  - {cidr: 10.155.30.0/24, gateway: 10.155.30.1, ranges: [10.155.30.200-10.155.30.250]}
  - {cidr: "2001:db8:1::/64", gateway: "2001:db8:1::1", ranges: ["2001:db8:1::e:0/112"]}
---
apiVersion: sluice.dev/v1alpha1
kind: NATGateway
metadata: {name: egress, namespace: net}
spec:
  uplinks: [{name: external, pools: [external], networkAttachment: net/external}]
  lan: {networkAttachment: net/lan}
---
apiVersion: sluice.dev/v1alpha1
kind: EIP
metadata: {name: web, namespace: net}
spec: {gateway: {name: egress}, ipFamilyPolicy: PreferDualStack}
---
apiVersion: sluice.dev/v1alpha1
kind: FIP
metadata: {name: web, namespace: net}
spec: {eip: {name: web}, target: {ips: [10.244.0.5, "fd00:10:244::5"]}}
"#;
