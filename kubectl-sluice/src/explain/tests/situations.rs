//! The situations.

use super::*;

const EIP: &str = "EIP tenants/web";
const FIP: &str = "FIP tenants/web";
const GATEWAY: &str = "NATGateway net/egress";
const REPORT: &str = "GatewayInstance net/gw-1";
const LEASE: &str = "Lease net/sluice-egress";
const POD: &str = "Pod net/gw-1";

/// Explains an object of a scene, and compares the first two lines.
#[track_caller]
fn tells(kind: Kind, change: impl FnOnce(&mut Scene), cause: &str, remedy: &str) {
    let mut scene = healthy();
    change(&mut scene);
    let key = match kind {
        Kind::NATGateway => Key::new("net", "egress"),
        Kind::EIPPool => Key::new("", "external"),
        _ => Key::new("tenants", "web"),
    };
    let said = explain(&scene.world(), kind, &key);
    assert_eq!(
        (said.cause.as_str(), said.remedy.as_str()),
        (cause, remedy),
        "{said:#?}"
    );
}

/// Nobody holds the gateway, and neither its rules nor its EIPs are programmed.
fn held_by_nobody(scene: &mut Scene) {
    scene.change(LEASE, json!({"spec": {"holderIdentity": null}}));
    scene.remove(REPORT);
    for name in [EIP, FIP, GATEWAY] {
        scene.condition(
            name,
            "Programmed",
            "NoHolder",
            "no instance holds the gateway; see its Pods and its Lease",
        );
    }
}

fn waiting(scene: &mut Scene, name: &str) {
    scene.condition(
        name,
        "Programmed",
        "Pending",
        "waiting for the gateway's holder to report it",
    );
}

#[test]
fn what_is_well() {
    let kernel = "kernel: verified, nothing refused";
    tells(Kind::EIP, |_| {}, "EIP tenants/web is Ready", kernel);
    tells(Kind::FIP, |_| {}, "FIP tenants/web is Ready", kernel);
    tells(
        Kind::NATGateway,
        |_| {},
        "NATGateway net/egress is Ready",
        kernel,
    );
}

#[test]
fn the_operator_is_scaled_to_nothing() {
    let change = |scene: &mut Scene| {
        scene.change(
            "Lease sluice-system/sluice-operator",
            json!({"spec": {"holderIdentity": ""}}),
        );
        scene.change(
            "Deployment sluice-system/sluice-operator",
            json!({"spec": {"replicas": 0}}),
        );
        scene.remove("Pod sluice-system/op-1");
        scene.change(EIP, json!({"status": {"observedGeneration": null, "conditions": [said("Ready", "Unknown", "Pending", "waiting for the operator")]}}));
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: nobody has looked at it, for the operator is not running: Deployment sluice-system/sluice-operator has 0 replicas",
        "kubectl scale deployment sluice-operator -n sluice-system --replicas=1",
    );
}

#[test]
fn the_operator_crashes() {
    let change = |scene: &mut Scene| {
        scene.change(
            "Lease sluice-system/sluice-operator",
            json!({"spec": {"renewTime": "2026-11-22T11:50:00.000000Z"}}),
        );
        scene.change("Pod sluice-system/op-1", json!({"status": {"containerStatuses": [{"name": "operator", "image": "i", "imageID": "", "ready": false, "restartCount": 7,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 101}}}]}}));
        scene.change(EIP, json!({"metadata": {"generation": 2}}));
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web says Ready, but spec: its generation 2 is not looked at yet, only 1, for the operator is not running: Pod op-1: container operator ends again and again, with exit code 101 (7 restarts)",
        "kubectl logs op-1 -n sluice-system --previous",
    );
}

#[test]
fn the_gateway_that_an_eip_names_does_not_exist() {
    let change = |scene: &mut Scene| {
        scene.remove(GATEWAY);
        scene.condition(
            EIP,
            "Accepted",
            "GatewayNotFound",
            "spec.gateway: NATGateway net/egress does not exist; create it or name another",
        );
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: GatewayNotFound: spec.gateway: NATGateway net/egress does not exist",
        "create it or name another",
    );
}

#[test]
fn the_pool_is_exhausted_and_a_rule_suffers() {
    let change = |scene: &mut Scene| {
        scene.condition(EIP, "Accepted", "PoolExhausted", "spec.pool: EIPPool external has no free [IPv4] address; add ranges to it or delete an EIP");
        scene.condition(
            FIP,
            "Accepted",
            "EIPNotAccepted",
            "spec.eip: EIP web is not accepted",
        );
    };
    tells(
        Kind::FIP,
        change,
        "FIP tenants/web is not Ready: its EIP tenants/web is not accepted: PoolExhausted: spec.pool: EIPPool external has no free [IPv4] address",
        "add ranges to it or delete an EIP",
    );
}

#[test]
fn the_exhausted_pool_names_who_has_most() {
    let change = |scene: &mut Scene| {
        let mut all = well().as_array().unwrap().clone();
        all.push(said(
            "Exhausted",
            "True",
            "Exhausted",
            "no free IPv4 address; add ranges or delete EIPs",
        ));
        scene.change("EIPPool external", json!({"status": {"conditions": all}}));
    };
    tells(
        Kind::EIPPool,
        change,
        "EIPPool external says Ready, but status: Exhausted: no free IPv4 address; most are in namespaces tenants 1",
        "add ranges or delete EIPs",
    );
}

#[test]
fn an_older_rule_has_what_this_one_asks() {
    let change = |scene: &mut Scene| {
        scene.condition(
            FIP,
            "Accepted",
            "Conflict",
            "spec.eip: FIP tenants/old, which is older, has EIP web; delete one of the two",
        )
    };
    tells(
        Kind::FIP,
        change,
        "FIP tenants/web is not Ready: Conflict: spec.eip: FIP tenants/old, which is older, has EIP web",
        "delete one of the two",
    );
}

#[test]
fn the_gateways_attachment_is_missing() {
    let change = |scene: &mut Scene| {
        held_by_nobody(scene);
        scene.condition(
            GATEWAY,
            "Accepted",
            "AttachmentNotFound",
            "spec.uplinks[0].networkAttachment: net/external does not exist; create it",
        );
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: NATGateway net/egress is not accepted: AttachmentNotFound: spec.uplinks[0].networkAttachment: net/external does not exist",
        "create it",
    );
}

#[test]
fn no_node_has_room_for_the_pod() {
    let change = |scene: &mut Scene| {
        held_by_nobody(scene);
        scene.change(POD, json!({"spec": {"nodeName": null}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available: 2 Insufficient cpu."}]}}));
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: nobody holds NATGateway net/egress: Pod gw-1 cannot be scheduled: 0/2 nodes are available: 2 Insufficient cpu.",
        "make room, or change nodeSelector, tolerations or resources in spec.template of the gateway",
    );
}

#[test]
fn the_image_cannot_be_pulled() {
    let change = |scene: &mut Scene| {
        held_by_nobody(scene);
        scene.change(POD, json!({"status": {"phase": "Pending", "containerStatuses": [{"name": "agent", "image": "registry.example/agent:1", "imageID": "",
            "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]}}));
    };
    tells(
        Kind::FIP,
        change,
        "FIP tenants/web is not Ready: nobody holds NATGateway net/egress: Pod gw-1: image registry.example/agent:1 cannot be pulled: not found",
        "make the image available to the Node, or name another: spec.template.image of the gateway",
    );
}

#[test]
fn the_kubelet_forbids_the_sysctls() {
    let change = |scene: &mut Scene| {
        held_by_nobody(scene);
        scene.change(
            POD,
            json!({"status": {"phase": "Failed", "reason": "SysctlForbidden"}}),
        );
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: nobody holds NATGateway net/egress: Pod gw-1: the kubelet of Node node-a forbids its sysctls",
        "allow net.ipv6.conf.all.forwarding and net.ipv6.conf.all.proxy_ndp there: kubelet allowedUnsafeSysctls",
    );
}

#[test]
fn the_namespace_refuses_the_pod() {
    let change = |scene: &mut Scene| {
        held_by_nobody(scene);
        scene.remove(POD);
        scene.change("Deployment net/sluice-egress", json!({"status": {"conditions": [
            {"type": "ReplicaFailure", "status": "True", "message": "pods \"gw\" is forbidden: violates PodSecurity \"restricted:latest\""}]}}));
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: nobody holds NATGateway net/egress: its Pod cannot be created: pods \"gw\" is forbidden: violates PodSecurity \"restricted:latest\"",
        "let namespace net have it (quota, Pod Security, admission webhooks)",
    );
}

#[test]
fn the_holders_machine_is_lost() {
    let change = |scene: &mut Scene| {
        scene.change(
            LEASE,
            json!({"spec": {"renewTime": "2026-11-22T11:58:00.000000Z"}}),
        );
        scene.change("Node node-a", json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}]}}));
        for name in [EIP, FIP, GATEWAY] {
            scene.condition(
                name,
                "Ready",
                "HolderLost",
                "the gateway's holder has not renewed its Lease",
            );
        }
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: the holder of NATGateway net/egress, gw-1, has not renewed its Lease for 120 s: its Node node-a is not Ready: Kubelet stopped posting node status.",
        "bring node-a back; if its machine is off for good: kubectl taint node node-a node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
    );
}

#[test]
fn a_ready_that_nobody_has_taken_back_yet() {
    let change = |scene: &mut Scene| {
        scene.change(
            LEASE,
            json!({"spec": {"renewTime": "2026-11-22T11:59:40.000000Z"}}),
        )
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web says Ready, but holder: the holder of NATGateway net/egress, gw-1, has not renewed its Lease for 20 s: its Pod looks well, so that the agent does not reach the API server",
        "kubectl logs gw-1 -n net",
    );
}

#[test]
fn the_lease_is_somebody_elses() {
    let change = |scene: &mut Scene| {
        held_by_nobody(scene);
        scene.condition(GATEWAY, "Programmed", "LeaseTaken", "Lease net/sluice-egress is not this gateway's, for it lacks the label sluice.dev/gateway-uid; delete it, and the operator makes its own");
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: LeaseTaken: Lease net/sluice-egress is not this gateway's, for it lacks the label sluice.dev/gateway-uid",
        "delete it, and the operator makes its own",
    );
}

#[test]
fn the_agent_cannot_forward() {
    let change = |scene: &mut Scene| {
        scene.change(REPORT, json!({"status": {"active": null, "problems": [
            {"reason": "ForwardingDisabled", "message": "net.ipv6.conf.all.forwarding is 0; set it by the Pod's sysctls", "blocking": true}]}}));
        waiting(scene, EIP);
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: gw-1 holds NATGateway net/egress at term 3 and answers at no term yet: ForwardingDisabled: net.ipv6.conf.all.forwarding is 0; set it by the Pod's sysctls",
        "kubectl logs gw-1 -n net",
    );
}

#[test]
fn the_holders_kernel_is_behind() {
    let change = |scene: &mut Scene| {
        scene.change(
            REPORT,
            json!({"status": {"applied": {"generation": 4, "slices": ["egress-old"]}}}),
        );
        waiting(scene, FIP);
    };
    tells(
        Kind::FIP,
        change,
        "FIP tenants/web is not Ready: the kernel of gw-1 has revision 4, and revision 5 is wanted",
        "look again; if it stays: kubectl logs gw-1 -n net",
    );
}

#[test]
fn a_revision_that_is_behind_in_other_slices_only_is_no_cause() {
    let change =
        |scene: &mut Scene| scene.change(REPORT, json!({"status": {"applied": {"generation": 4}}}));
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is Ready",
        "kernel: verified, nothing refused",
    );
}

#[test]
fn the_kernel_refuses_a_rule() {
    let change = |scene: &mut Scene| {
        scene.change(REPORT, json!({"status": {"rejected": [
            {"key": "fip fip-1 10.155.30.200 10.244.0.5 both", "digest": "x", "error": "ENOSPC: no space left in map"}]}}));
        scene.condition(
            FIP,
            "Programmed",
            "Rejected",
            "the kernel of the holder refused it: ENOSPC",
        );
    };
    tells(
        Kind::FIP,
        change,
        "FIP tenants/web is not Ready: the kernel refused `fip fip-1 10.155.30.200 10.244.0.5 both`: ENOSPC: no space left in map",
        "change the object; it is tried again then, and from time to time",
    );
    // The EIP's own entry was not refused: it is well.
    tells(
        Kind::EIP,
        |scene| {
            scene.change(REPORT, json!({"status": {"rejected": [{"key": "fip fip-1 10.155.30.200 10.244.0.5 both", "digest": "x", "error": "ENOSPC"}]}}));
        },
        "EIP tenants/web is Ready",
        "kernel: verified, nothing refused",
    );
}

#[test]
fn another_host_has_the_address() {
    let change = |scene: &mut Scene| {
        scene.change(REPORT, json!({"status": {"unusable": [
            {"address": "10.155.30.200", "reason": "AddressConflict", "message": "02:00:00:00:00:09 answers for it on eth1; take it from that host"}]}}));
        scene.condition(
            EIP,
            "Ready",
            "AddressConflict",
            "10.155.30.200: 02:00:00:00:00:09 answers for it",
        );
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: AddressConflict: 10.155.30.200: 02:00:00:00:00:09 answers for it on eth1; take it from that host",
        "take it from that host",
    );
}

#[test]
fn the_pod_of_a_fip_does_not_exist() {
    let change = |scene: &mut Scene| {
        scene.condition(
            FIP,
            "Programmed",
            "PodNotFound",
            "spec.target.pod: Pod tenants/app does not exist; create it, or name another",
        )
    };
    tells(
        Kind::FIP,
        change,
        "FIP tenants/web is not Ready: PodNotFound: spec.target.pod: Pod tenants/app does not exist",
        "create it, or name another",
    );
}

#[test]
fn an_eip_cannot_leave_its_old_gateway() {
    let change = |scene: &mut Scene| {
        scene.change(
            "AddressClaim default.10.155.30.200",
            json!({"spec": {"gatewayUID": "old"}}),
        );
        scene.change(
            "RuleSlice net/egress-a",
            json!({"spec": {"entries": ["addr other 1 10.155.30.201 external"]}}),
        );
        scene.add(user(
            "NATGateway",
            "net",
            "before",
            "old",
            json!({"uplinks": []}),
        ));
        scene.add(
            json!({"kind": "GatewayInstance", "metadata": {"name": "old-1", "namespace": "net"},
            "spec": {"gateway": "before", "gatewayUID": "old", "podUID": "p9", "node": "node-b"}}),
        );
        waiting(scene, EIP);
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: it moves: 10.155.30.200 is still with NATGateway net/before, for its Node node-b does not exist any more",
        "delete the Pod, if it is still there",
    );
}

#[test]
fn rules_hold_an_eip_that_is_deleted() {
    let change = |scene: &mut Scene| {
        scene.change(EIP, json!({"metadata": {"generation": 2, "deletionTimestamp": "2026-11-22T11:59:00Z"}, "status": {"conditions": [
            said("Accepted", "True", "DeletionBlocked", "being deleted, and still in use by FIP tenants/web; it goes when they are gone"),
            said("Ready", "True", "Ready", "")]}}));
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web says Ready, but status: DeletionBlocked: being deleted, and still in use by FIP tenants/web",
        "delete those first; it goes by itself then",
    );
}

#[test]
fn the_evidence_is_whole_and_the_operator_does_not_write_it() {
    let change = |scene: &mut Scene| {
        waiting(scene, EIP);
        scene.change(
            "Lease sluice-system/sluice-operator",
            json!({"spec": {"renewTime": "2026-11-22T11:50:00.000000Z"}}),
        );
    };
    tells(
        Kind::EIP,
        change,
        "EIP tenants/web is not Ready: the evidence is whole, and the status does not say so (NotProgrammed: waiting for the gateway's holder to report it): the operator is not running: its Lease has not been renewed for 600 s",
        "kubectl logs deployment/sluice-operator -n sluice-system",
    );
}

#[test]
fn a_tenant_who_may_read_his_own_kinds_only_is_told_what_they_say() {
    let mut scene = healthy();
    scene.hidden = vec![
        "natgateways",
        "eippools",
        "gatewayconfigs",
        "ruleslices",
        "gatewayinstances",
        "addressclaims",
        "leases",
        "pods",
        "deployments",
        "nodes",
    ];
    scene.condition(
        EIP,
        "Programmed",
        "NoHolder",
        "no instance holds the gateway; see its Pods and its Lease",
    );
    let said = explain(&scene.world(), Kind::EIP, &Key::new("tenants", "web"));
    assert_eq!(
        said.cause,
        "EIP tenants/web is not Ready: NotProgrammed: no instance holds the gateway; see its Pods and its Lease"
    );
    assert_eq!(said.remedy, "ask someone who may read internal.sluice.dev");
}

#[test]
fn a_name_of_another_namespace() {
    let said = explain(&healthy().world(), Kind::EIP, &Key::new("default", "web"));
    assert_eq!(said.cause, "EIP default/web does not exist");
    assert_eq!(said.remedy, "there is EIP tenants/web: add -n tenants");
}
