//! Keys, certificates, tokens and kubeconfigs of a lab, made anew each time.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use crate::command::run;
use crate::error::{Doing, Result};
use crate::families::{API, API_PORT, API_SERVICE, Families, NodePlan};
use crate::paths::LabPaths;

/// The users of the token file: file name, user, group (empty for none).
const USERS: [(&str, &str, &str); 4] = [
    ("admin", "admin", "system:masters"),
    ("kcm", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
];

/// Writes everything that the control plane and the nodes need to trust each
/// other, below `cp/`; `forwarder_port` is where the host reaches the API.
///
/// # Errors
/// When a file cannot be written or `openssl` fails.
pub fn create(
    paths: &LabPaths,
    families: Families,
    nodes: &[NodePlan],
    forwarder_port: u16,
) -> Result<()> {
    let dir = paths.control_plane();
    fs::create_dir_all(&dir).doing(|| format!("make {}", dir.display()))?;
    openssl(
        &dir,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "3650",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
            "-subj",
            "/CN=sluice-lab-ca",
        ],
    )?;
    let mut names = vec![
        "DNS:localhost".to_owned(),
        "DNS:kubernetes.default.svc".to_owned(),
    ];
    for ip in [
        "127.0.0.1",
        "::1",
        API.0,
        API.1,
        API_SERVICE.0,
        API_SERVICE.1,
    ] {
        names.push(format!("IP:{ip}"));
    }
    certificate(
        &dir,
        "apiserver",
        "/CN=kube-apiserver",
        &names.join(","),
        "serverAuth",
    )?;
    certificate(
        &dir,
        "kubelet-client",
        "/O=system:masters/CN=kube-apiserver-kubelet-client",
        "DNS:kube-apiserver",
        "clientAuth",
    )?;
    for node in nodes {
        let subject = format!("/O=system:nodes/CN=system:node:{}", node.name);
        let names = format!(
            "DNS:{},IP:{},IP:{}",
            node.name, node.address.0, node.address.1
        );
        certificate(&dir, &node.name, &subject, &names, "serverAuth,clientAuth")?;
    }
    openssl(
        &dir,
        &[
            "ecparam",
            "-genkey",
            "-name",
            "prime256v1",
            "-noout",
            "-out",
            "sa.key",
        ],
    )?;
    openssl(&dir, &["ec", "-in", "sa.key", "-pubout", "-out", "sa.pub"])?;

    let inside = families.of(API.0, API.1);
    let host = inside.first().map_or("127.0.0.1", String::as_str);
    let inside = if host.contains(':') {
        format!("https://[{host}]:{API_PORT}")
    } else {
        format!("https://{host}:{API_PORT}")
    };
    let mut tokens = String::new();
    let mut user = |file: &str, name: &str, group: &str| -> Result<String> {
        let token = random_token()?;
        let group = if group.is_empty() {
            String::new()
        } else {
            format!(",{group}")
        };
        let _ = writeln!(tokens, "{token},{name},{file}{group}");
        write(
            &dir.join(format!("{file}.kubeconfig")),
            &kubeconfig(&dir, &inside, &token),
        )?;
        Ok(token)
    };
    let mut admin = String::new();
    for (file, name, group) in USERS {
        let token = user(file, name, group)?;
        if file == "admin" {
            admin = token;
        }
    }
    for node in nodes {
        user(
            &node.name,
            &format!("system:node:{}", node.name),
            "system:nodes",
        )?;
    }
    write(&dir.join("tokens.csv"), &tokens)?;
    let outside = format!("https://127.0.0.1:{forwarder_port}");
    write(&paths.kubeconfig(), &kubeconfig(&dir, &outside, &admin))
}

/// Writes the kubeconfig of a service account, for programs on nodes.
///
/// # Errors
/// When the file cannot be written.
pub fn write_service_account(paths: &LabPaths, families: Families, token: &str) -> Result<()> {
    let host = families.of(API.0, API.1).swap_remove(0);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let text = kubeconfig(
        &paths.control_plane(),
        &format!("https://{host}:{API_PORT}"),
        token,
    );
    write(&paths.control_plane().join("multus.kubeconfig"), &text)
}

fn kubeconfig(dir: &Path, server: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: sluice-lab\n\
         clusters:\n- name: sluice-lab\n  cluster:\n    server: {server:?}\n    certificate-authority: {:?}\n\
         users:\n- name: sluice-lab\n  user:\n    token: {token}\n\
         contexts:\n- name: sluice-lab\n  context: {{cluster: sluice-lab, user: sluice-lab}}\n",
        dir.join("ca.crt").display().to_string()
    )
}

/// Makes `NAME.key` and `NAME.crt` in `dir`, signed by the lab's authority that is there.
///
/// # Errors
/// When a file cannot be written or `openssl` fails.
pub fn certificate(
    dir: &Path,
    name: &str,
    subject: &str,
    alternatives: &str,
    usage: &str,
) -> Result<()> {
    let (key, csr, crt, ext) = (
        format!("{name}.key"),
        format!("{name}.csr"),
        format!("{name}.crt"),
        format!("{name}.ext"),
    );
    let extensions = format!("subjectAltName={alternatives}\nextendedKeyUsage={usage}\n");
    write(&dir.join(&ext), &extensions)?;
    openssl(
        dir,
        &[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &csr,
            "-subj",
            subject,
        ],
    )?;
    openssl(
        dir,
        &[
            "x509",
            "-req",
            "-days",
            "3650",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-in",
            &csr,
            "-out",
            &crt,
            "-extfile",
            &ext,
        ],
    )?;
    for file in [csr, ext] {
        let _ = fs::remove_file(dir.join(file));
    }
    Ok(())
}

fn openssl(dir: &Path, args: &[&str]) -> Result<()> {
    run(Command::new("openssl").current_dir(dir).args(args)).map(drop)
}

fn random_token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .doing(|| "read /dev/urandom".into())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .doing(|| format!("write {}", path.display()))
}
