use std::fs;
use std::path::{Path, PathBuf};

use super::{Found, Minor};

/// A directory of files that hold what the program of that name says; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, programs: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("sluice-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for (program, says) in programs {
            let path = dir.join(program);
            fs::write(&path, says).unwrap();
        }
        Self(dir)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Says what is in the file; nothing where it is empty.
fn read(_: &str, path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.is_empty() {
        return Err("it ended with 3".into());
    }
    Ok(text)
}

fn kubernetes() -> Minor {
    Minor::pinned("kube-apiserver").unwrap()
}

#[test]
fn versions_are_read_as_each_program_says_them() {
    let version = |text| Minor::said_in(text).map(|minor| minor.to_string());
    assert_eq!(
        version("etcd Version: 3.6.8\nGit SHA: 0\nGo Version: go1.26.0\n").as_deref(),
        Some("3.6")
    );
    assert_eq!(version("Kubernetes v1.36.3\n").as_deref(), Some("1.36"));
    assert_eq!(
        version("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0\n").as_deref(),
        Some("1.32")
    );
    for none in ["", "v1", "1.36", "v1.x.3", "Kubernetes"] {
        assert_eq!(version(none), None, "{none:?}");
    }
    assert_ne!(Minor::pinned("etcd"), None);
    assert_ne!(Minor::pinned("etcd"), Minor::pinned("kubectl"));
}

#[test]
fn the_first_of_the_pinned_minor_is_used_and_others_are_named() {
    let pinned = format!("Kubernetes v{}.99", kubernetes());
    let old = Folder::new(
        "programs-old",
        &[
            ("kube-apiserver", "Kubernetes v1.2.3"),
            ("kube-scheduler", ""),
            ("kubectl", "hello"),
        ],
    );
    let new = Folder::new(
        "programs-new",
        &[("kube-apiserver", &pinned), ("kube-scheduler", &pinned)],
    );
    let again = Folder::new("programs-again", &[("kube-apiserver", &pinned)]);
    let found = Found::within(
        &[
            PathBuf::new(),
            PathBuf::from("/does/not/exist"),
            old.0.clone(),
            old.0.clone(),
            new.0.clone(),
            again.0.clone(),
        ],
        read,
    );

    let expected: Vec<(&str, PathBuf)> = ["kube-apiserver", "kube-scheduler"]
        .map(|name| (name, new.0.join(name)))
        .into();
    assert_eq!(found.programs(), expected);
    let lines = found.lines();
    assert_eq!(lines.len(), 4, "{lines:?}");
    let server = old.0.join("kube-apiserver");
    let wanted = format!(
        "{} is passed over: it is 1.2, and {} is pinned",
        server.display(),
        kubernetes()
    );
    assert_eq!(lines[0], wanted);
    assert!(lines[1].contains("kube-scheduler is passed over: it ended with 3"));
    assert!(lines[2].contains("kubectl is passed over: it does not say"));
    assert!(lines[3].ends_with("the rest from target/lab-bin"));
}

#[test]
fn nothing_found_is_said_too() {
    let found = Found::within(&[], read);
    assert!(found.programs().is_empty());
    assert_eq!(found.lines(), ["control plane: all from target/lab-bin"]);
}
