//! What breaks in a round of chaos, and for how long.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use sluice_e2e::Host;
use sluice_e2e::control::Request;
use sluice_e2e::control_plane::Component;
use sluice_e2e::evidence::{Harm, Mark};

use super::world::{Mend, PAIRS, SECOND, World, pair};
use crate::failure::Outcome;
use crate::gateway::{GATEWAY, NS};
use crate::operator;
use crate::restore;
use crate::stage::{Stage, text};

/// How often one pod's agent is killed at most: its container is started at once, then
/// after 10 s, then after 20 s.
const KILLS: u32 = 2;
const NODES: [&str; 2] = ["node-a", "node-b"];

/// The pod of a gateway is deleted, or deleted by force.
pub fn delete_pod(stage: &mut Stage, _: &mut World) -> Outcome {
    let Some(pod) = doom(stage) else {
        return Ok(());
    };
    end_pod(stage, &pod)
}

/// The race: the pod of a gateway is deleted with all FIPs.
pub fn delete_pod_and_rules(stage: &mut Stage, world: &mut World) -> Outcome {
    let Some(pod) = doom(stage) else {
        return Ok(());
    };
    for n in 0..PAIRS {
        world.retire(stage, &["FIP"], &pair(n));
    }
    end_pod(stage, &pod)?;
    let fips = (0..PAIRS).map(|n| ("FIP".into(), NS.into(), pair(n)));
    stage.note("all FIPs are deleted");
    stage.delete_all(&fips.collect::<Vec<_>>())
}

/// Notes that the pod of a gateway is about to end. Only the first gateway's EIPs are probed.
fn doom(stage: &mut Stage) -> Option<String> {
    let gateway = one_gateway(stage);
    let pod = stage.newest_pod(gateway).ok()?.0;
    let object = stage.get("Pod", GATEWAY.0, &pod).ok()??;
    stage.history.mark(Mark::Doom {
        pod: text(&object, "/metadata/uid"),
    });
    if gateway == GATEWAY.1 {
        stage.fault(Harm::Holder, format!("pod {pod} is deleted"));
    } else {
        stage.note(format!("pod {pod} is deleted"));
    }
    Some(pod)
}

fn end_pod(stage: &mut Stage, pod: &str) -> Outcome {
    let mut arguments = vec!["-n", GATEWAY.0, "delete", "pod", pod, "--wait=false"];
    arguments.push("--ignore-not-found");
    if stage.below(3) == 0 {
        stage.note("by force");
        arguments.extend(["--force", "--grace-period=0"]);
    }
    stage.kubectl(&arguments, None).map(drop)
}

fn one_gateway(stage: &mut Stage) -> &'static str {
    if stage.below(4) == 0 {
        SECOND
    } else {
        GATEWAY.1
    }
}

/// A gateway's agent is killed. Its rules stay, so traffic must go on.
pub fn kill_agent(stage: &mut Stage, world: &mut World) -> Outcome {
    let gateway = one_gateway(stage);
    let Ok((pod, _)) = stage.newest_pod(gateway) else {
        return Ok(());
    };
    let kills = world.killed.entry(pod.clone()).or_default();
    if *kills < KILLS {
        *kills += 1;
        stage.note(format!("the agent of {pod} is killed"));
        let _ = stage.lab.signal(&host(&pod), Signal::KILL);
    }
    Ok(())
}

/// A gateway's agent is stopped for a while: mostly for a moment, at times for longer than
/// its Lease lasts.
pub fn stop_agent(stage: &mut Stage, world: &mut World) -> Outcome {
    let gateway = one_gateway(stage);
    let Ok((pod, _)) = stage.newest_pod(gateway) else {
        return Ok(());
    };
    let secs = if stage.below(4) == 0 {
        20
    } else {
        1 + stage.below(6)
    };
    stage.note(format!("the agent of {pod} is stopped for {secs} s"));
    let _ = stage.lab.signal(&host(&pod), Signal::STOP);
    world.broken.push((after(secs), Mend::Continue(host(&pod))));
    Ok(())
}

/// Somebody changes the kernel of the first gateway, whose agent can see it.
pub fn edit(stage: &mut Stage, world: &mut World) -> Outcome {
    let stopped = |(_, mend): &(Instant, Mend)| matches!(mend, Mend::Continue(_));
    if world.broken.iter().any(stopped) {
        return Ok(());
    }
    let Ok((pod, _)) = stage.newest_pod(GATEWAY.1) else {
        return Ok(());
    };
    let name = pair(stage.below(PAIRS));
    let eip = stage.live("EIP", NS, &name).unwrap_or_default();
    let (four, six) = (text(&eip, "/status/ipv4"), text(&eip, "/status/ipv6"));
    let edits = [
        format!("ip route del local {four} dev lo table local"),
        format!("ip -6 route del local {six} dev lo table local"),
        format!("ip -6 neigh del proxy {six} dev eth1"),
        "ip rule del pref 120".to_owned(),
        "ip -6 rule del pref 120".to_owned(),
        "echo 0 > /proc/sys/net/ipv4/conf/lan0/forwarding".to_owned(),
        "echo 1 > /proc/sys/net/ipv4/conf/eth1/rp_filter".to_owned(),
    ];
    let which = stage.below(edits.len());
    let Some(edit) = edits.get(which) else {
        return Ok(());
    };
    stage.fault(Harm::Traffic, format!("foreign change: {edit}"));
    // The pod may be going, or have nothing yet.
    let _ = stage.lab.exec(&host(&pod), &["sh", "-c", edit]);
    Ok(())
}

/// A node and its pods do not reach the API server for a while.
pub fn cut_node(stage: &mut Stage, world: &mut World) -> Outcome {
    let Some(node) = one_node(stage, world) else {
        return Ok(());
    };
    let secs = 1 + stage.below(10);
    world.operator_out(stage);
    stage.note(format!("{node} does not reach the API server for {secs} s"));
    stage.lab.ask(&Request::Partition {
        node: node.clone(),
        cut: true,
    })?;
    world.broken.push((after(secs), Mend::Heal(node)));
    Ok(())
}

/// Every program of a node stands still for a while; its kernel goes on.
pub fn freeze_node(stage: &mut Stage, world: &mut World) -> Outcome {
    let Some(node) = one_node(stage, world) else {
        return Ok(());
    };
    let secs = 1 + stage.below(6);
    world.operator_out(stage);
    world.silence(stage);
    stage.note(format!("{node} stands still for {secs} s"));
    stage.lab.ask(&Request::Freeze {
        node: node.clone(),
        frozen: true,
    })?;
    world.broken.push((after(secs), Mend::Thaw(node)));
    Ok(())
}

/// A node is off for a while.
pub fn power_node(stage: &mut Stage, world: &mut World) -> Outcome {
    let Some(node) = one_node(stage, world) else {
        return Ok(());
    };
    let secs = 1 + stage.below(4);
    world.operator_out(stage);
    world.silence(stage);
    let holds = stage.newest_pod(GATEWAY.1).is_ok_and(|(_, on)| on == node);
    if holds {
        stage.fault(Harm::Holder, format!("{node} is off for {secs} s"));
    } else {
        stage.note(format!("{node} is off for {secs} s"));
    }
    restore::node_off(stage, &node)?;
    world.broken.push((after(secs), Mend::PowerOn(node)));
    Ok(())
}

/// One node at a time, so that something is left to observe.
fn one_node(stage: &mut Stage, world: &World) -> Option<String> {
    if world.is_cut() {
        return None;
    }
    NODES.get(stage.below(NODES.len())).map(|&n| n.to_owned())
}

/// All operators are killed.
pub fn kill_operator(stage: &mut Stage, world: &mut World) -> Outcome {
    let kills = world.killed.entry(operator::NAMESPACE.into()).or_default();
    if *kills < KILLS {
        *kills += 1;
        world.operator_out(stage);
        // None may run just now.
        let _ = stage.kill_operator();
    }
    Ok(())
}

/// One of the operators' pods is deleted, perhaps the leader's.
pub fn change_leader(stage: &mut Stage, world: &mut World) -> Outcome {
    let pods = stage.list("Pod", operator::NAMESPACE, "")?;
    if let Some(pod) = pods.get(stage.below(pods.len())) {
        let name = text(pod, "/metadata/name");
        world.operator_out(stage);
        stage.note(format!("operator {name} is deleted"));
        stage.delete("Pod", operator::NAMESPACE, &name)?;
    }
    Ok(())
}

/// The API server is away for a while.
pub fn stop_api(stage: &mut Stage, world: &mut World) -> Outcome {
    let component = Component::ApiServer;
    world.operator_out(stage);
    stage.note("the API server is stopped");
    stage.lab.ask(&Request::Stop { component })?;
    let ms = 500 + stage.below(4000);
    stage.pause(Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64());
    stage.lab.ask(&Request::Start { component })?;
    stage.wait("the API server", 30.0, || {
        stage.list("Node", "", "").is_ok()
    })?;
    stage.note("the API server is back");
    // Our own watches come back one by one.
    world.operator_out(stage);
    stage.pause(2.0);
    Ok(())
}

/// All connections of a node's pods are reset: watches begin anew.
pub fn cut_watches(stage: &mut Stage, world: &mut World) -> Outcome {
    let Some(node) = one_node(stage, world) else {
        return Ok(());
    };
    world.operator_out(stage);
    stage.note(format!("the connections of {node}'s pods are reset"));
    let script = "nft add table inet chaos
        nft 'add chain inet chaos f { type filter hook forward priority 0; }'
        nft add rule inet chaos f meta l4proto tcp reject with tcp reset
        sleep 0.5
        nft delete table inet chaos";
    stage.lab.exec(&Host::Node(node), &["sh", "-c", script])?;
    Ok(())
}

fn host(pod: &str) -> Host {
    Host::pod(GATEWAY.0, pod)
}

fn after(secs: usize) -> Instant {
    Instant::now() + Duration::from_secs(u64::try_from(secs).unwrap_or(0))
}
