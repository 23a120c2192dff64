//! A node: the namespaces it lives in, and what runs inside.

use std::fs::{self, File, OpenOptions};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, mount_move, unmount,
};
use rustix::thread::UnshareFlags;

use crate::command::run;
use crate::error::{Doing, LabError, Result};
use crate::families::{Families, NodePlan};
use crate::init::{internal, make_namespaces};
use crate::netns;
use crate::node_config::cgroup;
use crate::paths::LabPaths;
use crate::state::State;

/// Settings of the whole machine that the kubelet would change: it is shown
/// files that hold what it wants.
const MACHINE_SETTINGS: [(&str, &str); 5] = [
    ("vm/overcommit_memory", "1"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

const SOCKET: &str = "/run/containerd/containerd.sock";

/// The `internal node` command: enters the node's network namespace and
/// cgroup, makes its other namespaces, and waits for its end.
///
/// # Errors
/// When a namespace cannot be made or entered.
pub fn boot(paths: &LabPaths, node: &str) -> Result<()> {
    netns::enter(&paths.netns(node))?;
    cgroup(paths, node).child("system").join()?;
    make_namespaces(UnshareFlags::NEWUTS | UnshareFlags::NEWIPC)?;
    let mut init = internal(&["init", "--die-with-parent", "node-main", &paths.name, node])
        .spawn()
        .doing(|| "start the node's first process".into())?;
    let file = paths.node(node).join("init.pid");
    fs::write(&file, init.id().to_string()).doing(|| format!("write {}", file.display()))?;
    init.wait().doing(|| "wait for the node".into()).map(drop)
}

/// The `internal node-main` command: what a node does from power on.
///
/// # Errors
/// When a mount fails, or containerd or the kubelet cannot be started.
pub fn main(paths: &LabPaths, node: &str) -> Result<()> {
    let dir = paths.node(node);
    mounts(paths, &dir, node)?;
    let mut containerd = start(
        paths,
        &dir,
        "containerd",
        &["-c".into(), text(&dir, "containerd.toml")],
    )?;
    wait_until("containerd's socket", &dir.join("containerd.log"), || {
        UnixStream::connect(SOCKET).is_ok()
    })?;
    import_images(paths)?;
    let ready = paths.control_plane().join("ready");
    wait_until("the API server", &paths.control_plane(), || ready.exists())?;
    let families = State::read(paths)?.map_or(Families::Dual, |state| state.options.families);
    let plan = plan_of(node)?;
    let kubeconfig = paths.control_plane().join(format!("{node}.kubeconfig"));
    let mut kubelet = start(
        paths,
        &dir,
        "kubelet",
        &[
            format!("--config={}", text(&dir, "kubelet.yaml")),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--hostname-override={node}"),
            format!(
                "--node-ip={}",
                families.list(&plan.address.0, &plan.address.1)
            ),
            "--v=2".into(),
        ],
    )?;
    start(
        paths,
        &dir,
        "kube-proxy",
        &[format!("--config={}", text(&dir, "kube-proxy.yaml"))],
    )?;
    // The node lives as long as one of the two does: pods go on without the kubelet.
    let _ = (kubelet.wait(), containerd.wait());
    Ok(())
}

/// The plan of the node called `name`.
///
/// # Errors
/// When it is no name that the lab gives.
pub fn plan_of(name: &str) -> Result<NodePlan> {
    (0..26)
        .map(NodePlan::new)
        .find(|plan| plan.name == name)
        .ok_or_else(|| {
            LabError::Refused(format!(
                "{name:?} is no node of a lab: nodes are node-a, node-b and so on"
            ))
        })
}

fn mounts(paths: &LabPaths, dir: &Path, node: &str) -> Result<()> {
    let bind = |from: &Path, to: &str| {
        mount_bind(from, to).doing(|| format!("mount {} at {to}", from.display()))
    };
    // Else this node would keep the other namespaces alive when they end.
    unmount(paths.dir.join("ns"), UnmountFlags::DETACH).doing(|| "unmount namespaces".into())?;
    // A sysfs of the own network namespace, with the cgroups where they were.
    let aside = dir.join("sys");
    mount_bind_recursive("/sys/fs/cgroup", &aside).doing(|| "set the cgroups aside".into())?;
    unmount("/sys", UnmountFlags::DETACH).doing(|| "unmount /sys".into())?;
    mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None).doing(|| "mount /sys".into())?;
    mount_move(&aside, "/sys/fs/cgroup").doing(|| "put the cgroups back".into())?;
    for (name, value) in MACHINE_SETTINGS {
        let real = format!("/proc/sys/{name}");
        if Path::new(&real).exists() {
            let shown = dir.join("sysctl").join(name.replace('/', "."));
            fs::write(&shown, value).doing(|| format!("write {}", shown.display()))?;
            bind(&shown, &real)?;
        }
    }
    bind(&dir.join("boot-id"), "/proc/sys/kernel/random/boot_id")?;
    bind(&dir.join("var-lib"), "/var/lib")?;
    bind(&dir.join("var-log"), "/var/log")?;
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).doing(|| "mount /run".into())?;
    mount_change(
        "/",
        MountPropagationFlags::SHARED | MountPropagationFlags::REC,
    )
    .doing(|| "share mounts with containers".into())?;
    for made in ["/run/netns", "/run/lock", "/run/containerd"] {
        fs::create_dir_all(made).doing(|| format!("make {made}"))?;
    }
    rustix::system::sethostname(node.as_bytes()).doing(|| "set the host name".into())
}

/// Imports every packed image that this node does not hold yet.
///
/// # Errors
/// When `ctr` refuses one.
pub fn import_images(paths: &LabPaths) -> Result<()> {
    let images = paths.images();
    for entry in fs::read_dir(&images)
        .doing(|| format!("read {}", images.display()))?
        .flatten()
    {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "tar") {
            continue;
        }
        // The digest beside the tar says which content it has.
        let digest = fs::read_to_string(path.with_extension("digest")).unwrap_or_default();
        let name = entry.file_name().to_string_lossy().into_owned();
        let mark = Path::new("/var/lib").join(format!(".imported-{name}"));
        if fs::read_to_string(&mark).is_ok_and(|held| held == digest) {
            continue;
        }
        run(Command::new(paths.bin().join("ctr"))
            .args(["-a", SOCKET, "-n", "k8s.io", "images", "import", "--local"])
            .arg(&path))?;
        fs::write(&mark, digest).doing(|| format!("write {}", mark.display()))?;
    }
    Ok(())
}

fn start(paths: &LabPaths, dir: &Path, program: &str, args: &[String]) -> Result<Child> {
    let log = append(&dir.join(format!("{program}.log")))?;
    let errors = log.try_clone().doing(|| "copy a log's descriptor".into())?;
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", paths.bin().display());
    Command::new(paths.bin().join(program))
        .args(args)
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .doing(|| format!("start {program}: is it built? `make setup` builds it"))
}

/// Opens a log file for adding to it.
///
/// # Errors
/// When it cannot be opened.
pub fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .doing(|| format!("open {}", path.display()))
}

fn wait_until(what: &str, hint: &Path, done: impl Fn() -> bool) -> Result<()> {
    let secs = 120;
    let deadline = Instant::now() + Duration::from_secs(secs);
    while !done() {
        if Instant::now() > deadline {
            return Err(LabError::Timeout {
                what: what.to_owned(),
                secs,
                hint: format!("see {}", hint.display()),
            });
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn text(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}
