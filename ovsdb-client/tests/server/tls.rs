//! TLS: both sides show a certificate of one authority.

use std::path::Path;
use std::process::Command;

use ovsdb_client::{
    Client, Config, ConnectError, Connection, Limits, Remote, TableMonitor, Tls, TlsError,
};

use super::process::{DATABASE, Dir, Server, Thing, create, free_port, run, schema};

/// An authority, and what it signs.
struct Authority<'a> {
    dir: &'a Dir,
    name: &'static str,
}

impl<'a> Authority<'a> {
    fn new(dir: &'a Dir, name: &'static str) -> Self {
        let [key, cert] = [
            dir.file(&format!("{name}.key")),
            dir.file(&format!("{name}.pem")),
        ];
        run(openssl(&[
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=authority", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert));
        Self { dir, name }
    }

    fn certificate(&self) -> std::path::PathBuf {
        self.dir.file(&format!("{}.pem", self.name))
    }

    /// Signs one without host names.
    fn sign(&self, name: &str) -> Tls {
        let file = |suffix: &str| self.dir.file(&format!("{name}.{suffix}"));
        run(openssl(&["req", "-newkey", "rsa:2048", "-nodes", "-subj"])
            .arg(format!("/CN={name}"))
            .arg("-keyout")
            .arg(file("key"))
            .arg("-out")
            .arg(file("csr")));
        std::fs::write(file("ext"), "basicConstraints=CA:FALSE\n").expect("a file");
        run(
            openssl(&["x509", "-req", "-days", "2", "-CAcreateserial", "-in"])
                .arg(file("csr"))
                .arg("-CA")
                .arg(self.certificate())
                .arg("-CAkey")
                .arg(self.dir.file(&format!("{}.key", self.name)))
                .arg("-extfile")
                .arg(file("ext"))
                .arg("-out")
                .arg(file("pem")),
        );
        Tls::from_files(&self.certificate(), &file("pem"), &file("key")).expect("certificates")
    }
}

fn openssl(words: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(words);
    command
}

fn serve(dir: &Dir, authority: &Authority<'_>) -> (Server, Remote) {
    authority.sign("server");
    let file = create(dir, &schema());
    let port = free_port();
    let option = |name: &str, file: &Path| format!("--{name}={}", file.display());
    let server = Server::start(
        dir,
        "db",
        &file,
        &[
            format!("--remote=pssl:{port}:127.0.0.1"),
            option("private-key", &dir.file("server.key")),
            option("certificate", &dir.file("server.pem")),
            option("ca-cert", &authority.certificate()),
        ],
    );
    (
        server,
        format!("ssl:127.0.0.1:{port}").parse().expect("a remote"),
    )
}

#[tokio::test]
async fn both_sides_are_believed_by_their_chain() {
    let dir = Dir::new();
    let authority = Authority::new(&dir, "ca");
    let (_server, remote) = serve(&dir, &authority);
    let client = authority.sign("client");
    let config = Config::new(vec![remote], DATABASE).monitor(TableMonitor::of::<Thing>());
    let client = Client::start(config.with_tls(client));
    client.synced().await;
    let many: Vec<_> = (0..500)
        .map(|n| Thing::named(&format!("n{n}")).insert())
        .collect();
    client.transact(&many).await.expect("done");
    assert_eq!(client.read(|replica| replica.len("Thing")), 500);
}

#[tokio::test]
async fn strangers_are_refused_on_either_side() {
    let dir = Dir::new();
    let authority = Authority::new(&dir, "ca");
    let (_server, remote) = serve(&dir, &authority);
    let other = Authority::new(&dir, "other");
    let stranger = other.sign("stranger");
    // The client does not believe the server.
    let refused = Connection::open(&remote, Some(&stranger), Limits::default()).await;
    let error = refused.map(|_| ()).expect_err("not believed");
    assert!(
        format!("{error}: {:?}", std::error::Error::source(&error)).contains("InvalidCertificate"),
        "{error:?}"
    );
    // The server does not believe the client, which shows with TLS 1.3 when it speaks.
    let believing = dir.file("stranger.pem");
    let half = Tls::from_files(
        &authority.certificate(),
        &believing,
        &dir.file("stranger.key"),
    )
    .expect("certificates");
    if let Ok(connection) = Connection::open(&remote, Some(&half), Limits::default()).await {
        connection.databases().await.expect_err("not believed");
    }
    let none = Connection::open(&remote, None, Limits::default()).await;
    assert!(matches!(none.map(|_| ()), Err(ConnectError::NoTls { .. })));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let dir = Dir::new();
    let missing = dir.file("missing.pem");
    let error = Tls::from_files(&missing, &missing, &missing).expect_err("no file");
    assert!(
        matches!(&error, TlsError::File { path, .. } if *path == missing),
        "{error}"
    );
    std::fs::write(dir.file("empty.pem"), "").expect("a file");
    let empty = dir.file("empty.pem");
    assert!(matches!(
        Tls::from_files(&empty, &empty, &empty),
        Err(TlsError::File { .. })
    ));
}
