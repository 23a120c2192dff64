//! Why a Pod does not work, in its own words and those of its Node.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::world::World;

/// What is wrong with a Pod, and what to do; nothing if it works.
#[must_use]
pub fn trouble(world: &World, pod: &Pod) -> Option<(String, String)> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let status = pod.status.as_ref();
    let node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref());
    if let Some((why, remedy)) = node.and_then(|node| node_trouble(world, node)) {
        return Some((format!("Pod {name}: {why}"), remedy));
    }
    if status.and_then(|s| s.reason.as_deref()) == Some("SysctlForbidden") {
        return Some((
            format!("Pod {name}: the kubelet of Node {} forbids its sysctls", node.unwrap_or("?")),
            "allow net.ipv6.conf.all.forwarding and net.ipv6.conf.all.proxy_ndp there: kubelet allowedUnsafeSysctls".to_owned(),
        ));
    }
    let conditions = status
        .and_then(|s| s.conditions.as_deref())
        .unwrap_or_default();
    let scheduled = conditions
        .iter()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(scheduled) = scheduled {
        let why = scheduled
            .message
            .clone()
            .or_else(|| scheduled.reason.clone())
            .unwrap_or_default();
        return Some((
            format!("Pod {name} cannot be scheduled: {why}"),
            "make room, or change nodeSelector, tolerations or resources in spec.template of the gateway".to_owned(),
        ));
    }
    let containers = status
        .and_then(|s| s.container_statuses.as_deref())
        .unwrap_or_default();
    if let Some(found) = containers
        .iter()
        .find_map(|c| container(name, namespace, c))
    {
        return Some(found);
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Some((
            format!("Pod {name} is going"),
            "wait for the next one".to_owned(),
        ));
    }
    let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or("Unknown");
    let message = status
        .and_then(|s| s.message.as_deref())
        .unwrap_or_default();
    match phase {
        "Running" => None,
        "Pending" => Some((
            format!("Pod {name} is being made: no container has started"),
            format!(
                "kubectl describe pod {name} -n {namespace}: its Events name what the network plugins say"
            ),
        )),
        _ => Some((
            format!("Pod {name} is {phase}: {message}"),
            format!("kubectl describe pod {name} -n {namespace}"),
        )),
    }
}

fn container(pod: &str, namespace: &str, container: &ContainerStatus) -> Option<(String, String)> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default();
        let says = format!(
            "Pod {pod}, container {}: {reason}: {message}",
            container.name
        );
        return match reason {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Some((
                format!("Pod {pod}: image {} cannot be pulled: {message}", container.image),
                "make the image available to the Node, or name another: spec.template.image of the gateway".to_owned(),
            )),
            "CrashLoopBackOff" => {
                let ended = container.last_state.as_ref().and_then(|s| s.terminated.as_ref());
                let code = ended.map_or(0, |t| t.exit_code);
                Some((
                    format!("Pod {pod}: container {} ends again and again, with exit code {code} ({} restarts)", container.name, container.restart_count),
                    format!("kubectl logs {pod} -n {namespace} --previous"),
                ))
            }
            // A moment on the way.
            "ContainerCreating" | "PodInitializing" => None,
            _ => Some((says, format!("kubectl describe pod {pod} -n {namespace}"))),
        };
    }
    let ended = state.terminated.as_ref()?;
    Some((
        format!(
            "Pod {pod}: container {} ended with exit code {}",
            container.name, ended.exit_code
        ),
        format!("kubectl logs {pod} -n {namespace}"),
    ))
}

/// What is wrong with a Node, and what to do about what was on it.
#[must_use]
pub fn node_trouble(world: &World, name: &str) -> Option<(String, String)> {
    if world.hides("nodes") {
        return None;
    }
    let Some(node) = world.node(name) else {
        return (!name.is_empty()).then(|| {
            (
                format!("its Node {name} does not exist any more"),
                "delete the Pod, if it is still there".to_owned(),
            )
        });
    };
    let conditions = node
        .status
        .as_ref()
        .and_then(|s| s.conditions.as_deref())
        .unwrap_or_default();
    let ready = conditions.iter().find(|c| c.type_ == "Ready")?;
    if ready.status == "True" {
        return None;
    }
    let why = ready
        .message
        .clone()
        .or_else(|| ready.reason.clone())
        .unwrap_or_default();
    Some((
        format!("its Node {name} is not Ready: {why}"),
        format!(
            "bring {name} back; if its machine is off for good: kubectl taint node {name} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
        ),
    ))
}
