//! Container images packed from our static binaries: one layer, no tools, the
//! same bytes from the same binaries.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::command::run;
use crate::error::{Doing, LabError, Result};
use crate::paths::LabPaths;
use crate::tar::Tar;

/// An image: its name below `sluice/`, and the binaries in it; the first is what it runs.
const IMAGES: [(&str, &[&str]); 4] = [
    // The chart's hook runs the plugin from the operator's image.
    ("operator", &["sluice-operator", "kubectl-sluice"]),
    ("gateway-agent", &["sluice-gateway-agent"]),
    ("echo", &["sluice-echo"]),
    ("pause", &["sluice-pause"]),
];

/// The tags that each image gets. None of them is ever pulled from anywhere.
const TAGS: [&str; 3] = ["dev", "latest", env!("CARGO_PKG_VERSION")];

/// Packs every image whose binary changed since it was packed last, into
/// `target/images`. Returns the names of those that were packed.
///
/// # Errors
/// When a binary is missing.
pub fn pack_all(paths: &LabPaths) -> Result<Vec<String>> {
    let dir = paths.images();
    fs::create_dir_all(&dir).doing(|| format!("make {}", dir.display()))?;
    let from = binary_dir(paths)?;
    let mut packed = Vec::new();
    for (image, programs) in IMAGES {
        let mark = dir.join(format!("{image}.source"));
        let stamps: Result<Vec<String>> = programs.iter().map(|p| stamp(&from.join(p))).collect();
        let stamp = stamps?.join("\n");
        let tar = dir.join(format!("{image}.tar"));
        if tar.exists() && fs::read_to_string(&mark).is_ok_and(|held| held == stamp) {
            continue;
        }
        let mut files = Vec::new();
        for program in programs {
            files.push((*program, binary(&from.join(program), &dir)?));
        }
        let bytes = pack(image, &files);
        let digest = hex(&Sha256::digest(&bytes));
        replace(&tar, &bytes)?;
        replace(&dir.join(format!("{image}.digest")), digest.as_bytes())?;
        replace(&mark, stamp.as_bytes())?;
        packed.push(image.to_owned());
    }
    Ok(packed)
}

/// Where binaries come from: `SLUICE_BIN_DIR`, else the directory of this very
/// program, else `target/release`, else `target/debug`; the first that has all.
///
/// # Errors
/// When none has all of them.
pub fn binary_dir(paths: &LabPaths) -> Result<PathBuf> {
    let mut places = Vec::new();
    if let Some(named) = env::var_os("SLUICE_BIN_DIR") {
        places.push(PathBuf::from(named));
    } else {
        if let Ok(own) = env::current_exe() {
            // A test's binary lies one level deeper, in `deps`.
            places.extend(own.ancestors().skip(1).take(2).map(Path::to_path_buf));
        }
        for profile in ["release", "debug"] {
            places.push(paths.repo.join("target").join(profile));
            places.push(
                paths
                    .repo
                    .join("target/x86_64-unknown-linux-gnu")
                    .join(profile),
            );
        }
    }
    let programs = || {
        IMAGES
            .iter()
            .flat_map(|(_, programs)| programs.iter().copied())
    };
    let has_all = |dir: &PathBuf| programs().all(|program| dir.join(program).exists());
    places.iter().find(|dir| has_all(dir)).cloned().ok_or_else(|| {
        let names: Vec<&str> = programs().collect();
        LabError::Refused(format!(
            "no directory has all of {}: run `make build`, or set SLUICE_BIN_DIR (looked in {})",
            names.join(", "),
            places.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
        ))
    })
}

/// The binary's content without debugging sections, which only cost time on
/// the way into nodes; the names of functions stay, for backtraces.
fn binary(source: &Path, dir: &Path) -> Result<Vec<u8>> {
    let name = source
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let stripped = dir.join(format!(".{name}.{}", std::process::id()));
    let tried = run(Command::new("strip")
        .args(["--strip-debug", "-o"])
        .arg(&stripped)
        .arg(source));
    let path = if tried.is_ok() { &stripped } else { source };
    let content = fs::read(path).doing(|| format!("read {}", path.display()));
    let _ = fs::remove_file(&stripped);
    content
}

/// What tells one build of a binary from the next.
fn stamp(source: &Path) -> Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = fs::metadata(source).doing(|| format!("look at {}", source.display()))?;
    Ok(format!(
        "{} {} {}.{}",
        source.display(),
        meta.len(),
        meta.mtime(),
        meta.mtime_nsec()
    ))
}

/// One image of these programs as an OCI layout in a tar; it runs the first.
fn pack(image: &str, programs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let runs = programs.first().map_or("", |(name, _)| name);
    let mut layer = Tar::default();
    for dir in ["dev", "etc", "proc", "sys", "tmp"] {
        layer.directory(dir, if dir == "tmp" { 0o1777 } else { 0o755 });
    }
    layer.file(
        "etc/passwd",
        0o644,
        b"root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    );
    layer.file("etc/group", 0o644, b"root:x:0:\nnobody:x:65534:\n");
    for (name, binary) in programs {
        layer.file(name, 0o755, binary);
    }
    let layer = layer.finish();
    let layer_digest = format!("sha256:{}", hex(&Sha256::digest(&layer)));

    let mut blobs: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Entrypoint": [format!("/{runs}")], "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    });
    let layer = blob(&mut blobs, layer, "application/vnd.oci.image.layer.v1.tar");
    let config = blob(
        &mut blobs,
        config.to_string().into_bytes(),
        "application/vnd.oci.image.config.v1+json",
    );
    let media = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": media, "config": config, "layers": [layer]});
    let manifest = blob(&mut blobs, manifest.to_string().into_bytes(), media);
    let named: Vec<Value> = TAGS
        .iter()
        .map(|tag| tagged(&manifest, image, tag))
        .collect();

    let mut tar = Tar::default();
    tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = json!({"schemaVersion": 2, "manifests": named});
    tar.file("index.json", 0o644, index.to_string().as_bytes());
    for (digest, content) in &blobs {
        tar.file(&format!("blobs/sha256/{digest}"), 0o644, content);
    }
    tar.finish()
}

fn blob(blobs: &mut BTreeMap<String, Vec<u8>>, content: Vec<u8>, media: &str) -> Value {
    let digest = hex(&Sha256::digest(&content));
    let size = content.len();
    blobs.insert(digest.clone(), content);
    json!({"mediaType": media, "digest": format!("sha256:{digest}"), "size": size})
}

fn tagged(manifest: &Value, image: &str, tag: &str) -> Value {
    let mut entry = manifest.clone();
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(
            "platform".into(),
            json!({"architecture": "amd64", "os": "linux"}),
        );
        let name = format!("docker.io/sluice/{image}:{tag}");
        let marks =
            json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag});
        entry.insert("annotations".into(), marks);
    }
    entry
}

/// Writes a file so that a reader sees the old or the new content, never half.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&aside, content)
        .and_then(|()| fs::rename(&aside, path))
        .doing(|| format!("write {}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_binary_gives_the_same_bytes() {
        let of = |content: &[u8]| pack("echo", &[("sluice-echo", content.to_vec())]);
        assert_eq!(of(b"binary"), of(b"binary"));
        assert_ne!(of(b"binary"), of(b"other"));
    }
}
