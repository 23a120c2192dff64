//! The configuration files of a node: containerd, kubelet, CNI, Multus.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::cgroup::Cgroup;
use crate::command::run;
use crate::error::{Doing, LabError, Result};
use crate::families::{Families, NodePlan, PODS, SERVICES, UNDERLAY};
use crate::options::UpOptions;
use crate::paths::LabPaths;

/// The image that holds a pod's namespaces.
pub const PAUSE_IMAGE: &str = "docker.io/sluice/pause:dev";

/// The name under which this program is a CNI plugin.
pub const BORN_PLUGIN: &str = "lab-pod-defaults";

/// The plugin at the end of the tenant LAN's chain.
pub const LAN_PLUGIN: &str = "lab-lan-default";

/// The cgroup of a node.
#[must_use]
pub fn cgroup(paths: &LabPaths, node: &str) -> Cgroup {
    Cgroup::new(paths.unique()).child(node)
}

/// Links the programs that the lab runs into its `bin`, with `own` as ours, and
/// with those that were `found` instead of the built ones.
///
/// # Errors
/// When a link cannot be made.
pub fn link_programs(
    paths: &LabPaths,
    own: &Path,
    found: &[(&'static str, PathBuf)],
) -> Result<()> {
    let bin = paths.bin();
    fs::create_dir_all(&bin).doing(|| format!("make {}", bin.display()))?;
    let lab = bin.join("sluice-lab");
    let _ = fs::remove_file(&lab);
    // A copy of its own: the running lab is not changed by the next build.
    fs::copy(own, &lab).doing(|| format!("copy {} to {}", own.display(), lab.display()))?;
    let link = |from: &Path, name: &str| {
        let to = bin.join(name);
        let _ = fs::remove_file(&to);
        symlink(from, &to).doing(|| format!("link {}", to.display()))
    };
    link(&lab, BORN_PLUGIN)?;
    link(&lab, LAN_PLUGIN)?;
    let go_bin = paths.go_bin();
    let entries = fs::read_dir(&go_bin).doing(|| format!("read {}", go_bin.display()))?;
    let programs = entries.flatten().filter(|entry| {
        // Files with a dot in front are marks of the build.
        !entry.path().is_dir() && !entry.file_name().as_encoded_bytes().starts_with(b".")
    });
    for entry in programs {
        link(&entry.path(), &entry.file_name().to_string_lossy())?;
    }
    for program in [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
    ] {
        link(&go_bin.join("controlplane"), program)?;
    }
    for (program, path) in found {
        link(path, program)?;
    }
    Ok(())
}

/// Writes all files of a node. Its state of an earlier life is kept.
///
/// # Errors
/// When a file cannot be written.
pub fn write(paths: &LabPaths, options: &UpOptions, node: &NodePlan) -> Result<()> {
    let dir = paths.node(&node.name);
    for sub in [
        "cni",
        "var-lib/kubelet",
        "var-lib/containerd",
        "var-lib/cni",
        "var-log/pods",
        "var-log/containers",
        "sys",
        "sysctl",
    ] {
        let sub = dir.join(sub);
        fs::create_dir_all(&sub).doing(|| format!("make {}", sub.display()))?;
    }
    let put = |name: &str, text: &str| {
        let file = dir.join(name);
        fs::write(&file, text).doing(|| format!("write {}", file.display()))
    };
    put("containerd.toml", &containerd(paths, &dir))?;
    put("kubelet.yaml", &kubelet(paths, options, node))?;
    put("kube-proxy.yaml", &kube_proxy(paths, options, node))?;
    put(
        "cni/00-multus.conf",
        &multus(paths, options.families, node, &dir).to_string(),
    )?;
    put("base-spec.json", &base_spec(paths, &dir)?.to_string())
}

fn containerd(paths: &LabPaths, dir: &Path) -> String {
    let bin = paths.bin();
    format!(
        r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE an oom_score_adj cannot be lowered.
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{bin}"]
    conf_dir = "{dir}/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      base_runtime_spec = "{dir}/base-spec.json"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "{bin}/runc"
        SystemdCgroup = false
"#,
        bin = bin.display(),
        dir = dir.display(),
    )
}

fn kubelet(paths: &LabPaths, options: &UpOptions, node: &NodePlan) -> String {
    let cp = paths.control_plane();
    let address = if options.families.v4() {
        &node.address.0
    } else {
        &node.address.1
    };
    let (status, lease) = if options.fast_node_timers {
        ("1s", 4)
    } else {
        ("10s", 40)
    };
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "port": 10250,
        "healthzBindAddress": "127.0.0.1",
        "tlsCertFile": cp.join(format!("{}.crt", node.name)),
        "tlsPrivateKeyFile": cp.join(format!("{}.key", node.name)),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": cp.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup(paths, &node.name).absolute(),
        "cgroupsPerQOS": true,
        "enforceNodeAllocatable": ["pods"],
        "failSwapOn": false,
        "resolvConf": "",
        "clusterDNS": [],
        "registerNode": true,
        "nodeStatusUpdateFrequency": status,
        "nodeLeaseDurationSeconds": lease,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        "allowedUnsafeSysctls": ["net.ipv4.*", "net.ipv6.*"],
        "shutdownGracePeriod": "0s",
        "maxPods": 200,
        "maxOpenFiles": 20000,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
    })
    .to_string()
}

fn kube_proxy(paths: &LabPaths, options: &UpOptions, node: &NodePlan) -> String {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": paths.control_plane().join("proxy.kubeconfig")},
        "hostnameOverride": node.name,
        "clusterCIDR": options.families.list(PODS.0, PODS.1),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // These settings belong to the whole machine: leave them alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    })
    .to_string()
}

/// Multus in front of the pod network. The first plugin of the pod network
/// makes pods be born forwarding, as on machines that forward.
fn multus(paths: &LabPaths, families: Families, node: &NodePlan, dir: &Path) -> Value {
    let ranges: Vec<Value> = families
        .of(&node.pods.0, &node.pods.1)
        .iter()
        .map(|subnet| json!([{"subnet": subnet}]))
        .collect();
    // Besides the default route there is one to each network of the cluster:
    // a pod whose default route another attachment takes keeps these. Multus
    // 4.3.0 adds that attachment's default route but does not remove ours (it
    // looks for a destination that its netlink library no longer leaves
    // empty), so ours has a metric by which it loses; the tenant LAN's own
    // plugin then removes it.
    let mut routes: Vec<Value> = families
        .of("0.0.0.0/0", "::/0")
        .iter()
        .map(|dst| json!({"dst": dst, "priority": 4096}))
        .collect();
    for to in [PODS, SERVICES, UNDERLAY] {
        routes.extend(
            families
                .of(to.0, to.1)
                .iter()
                .map(|dst| json!({"dst": dst})),
        );
    }
    json!({
        "cniVersion": "1.0.0",
        "name": "multus-cni-network",
        "type": "multus",
        "kubeconfig": paths.control_plane().join("multus.kubeconfig"),
        "confDir": dir.join("cni"),
        "cniDir": "/var/lib/cni/multus",
        "binDir": paths.bin(),
        "logLevel": "verbose",
        "logFile": dir.join("multus.log"),
        "delegates": [{
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {"type": BORN_PLUGIN},
                {
                    // A routed hop per pod: with a bridge, Services would need
                    // bridge-nf-call-iptables to reach pods of the same node.
                    "type": "ptp",
                    "ipMasq": false,
                    "ipam": {"type": "host-local", "ranges": ranges, "routes": routes},
                },
            ],
        }],
    })
}

/// The container spec that every container starts from: containerd's own, with
/// a hook that shows the node's boot ID inside.
fn base_spec(paths: &LabPaths, dir: &Path) -> Result<Value> {
    let text = run(Command::new(paths.bin().join("ctr")).args(["oci", "spec"]))?;
    let mut spec: Value = serde_json::from_str(&text)
        .map_err(|error| LabError::Content(format!("`ctr oci spec` printed no JSON: {error}")))?;
    if let Some(spec) = spec.as_object_mut() {
        spec.insert(
            "hooks".into(),
            json!({"createContainer": [{
                "path": paths.bin().join("sluice-lab"),
                "args": ["sluice-lab", "internal", "hook-boot-id", dir.join("boot-id")],
            }]}),
        );
        if let Some(process) = spec.get_mut("process").and_then(Value::as_object_mut) {
            process.remove("rlimits");
        }
    }
    Ok(spec)
}
