//! Servers that end with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ovsdb_client::{Connection, Limits, Remote, rows};
use serde_json::{Value as Json, json};

/// Where the programs are.
fn unpacked() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/ovn");
    assert!(
        root.join(".stamp").exists(),
        "no Open vSwitch in {}: run scripts/ovn.sh",
        root.display()
    );
    root.canonicalize().expect("it exists")
}

/// A command of the unpacked packages.
pub fn program(path: &str) -> Command {
    let root = unpacked();
    let mut command = Command::new(root.join("root").join(path));
    command.env("LD_LIBRARY_PATH", root.join("lib"));
    command
}

pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// A directory that goes away.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Short: the names of sockets have 108 bytes.
        let path = std::env::temp_dir().join(format!("ovsdb-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server. It is killed when this is dropped, or when the test's process ends.
pub struct Server {
    guard: Child,
    socket: PathBuf,
    control: PathBuf,
    pub port: u16,
}

impl Server {
    /// Serves this file, which exists.
    pub fn start(dir: &Dir, name: &str, database: &Path, more: &[String]) -> Self {
        let socket = dir.file(&format!("{name}.sock"));
        let control = dir.file(&format!("{name}.ctl"));
        let port = free_port();
        let root = unpacked();
        // The shell waits for the end of its input, which is this process's.
        let guard = Command::new("sh")
            .arg("-c")
            .arg("\"$@\" & server=$!; read -r _; kill -9 $server")
            .arg("sh")
            .arg(root.join("root/usr/sbin/ovsdb-server"))
            .arg(database)
            .arg(format!("--remote=punix:{}", socket.display()))
            .arg(format!("--remote=ptcp:{port}:127.0.0.1"))
            .arg(format!("--unixctl={}", control.display()))
            .arg(format!(
                "--log-file={}",
                dir.file(&format!("{name}.log")).display()
            ))
            .args(["--no-chdir", "-vconsole:off", "-vsyslog:off"])
            .args(more)
            .env("LD_LIBRARY_PATH", root.join("lib"))
            .env("OVS_RUNDIR", dir.file(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let server = Self {
            guard,
            socket,
            control,
            port,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::os::unix::net::UnixStream::connect(&server.socket).is_err() {
            let log = || std::fs::read_to_string(dir.file(&format!("{name}.log")));
            assert!(
                Instant::now() < deadline,
                "the server does not start: {:?}",
                log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub fn unix(&self) -> Remote {
        Remote::Unix(self.socket.clone())
    }

    pub fn tcp(&self) -> Remote {
        format!("tcp:127.0.0.1:{}", self.port)
            .parse()
            .expect("a remote")
    }

    /// A command to the server itself.
    pub fn control(&self, words: &[&str]) -> String {
        run(program("usr/bin/ovs-appctl")
            .arg("-t")
            .arg(&self.control)
            .args(words))
    }

    pub fn kill(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(&self.unix(), None, Limits::default())
            .await
            .expect("a connection")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// A server of the test's schema, and its directory.
pub fn alone() -> (Server, Dir) {
    alone_with(&[])
}

pub fn alone_with(more: &[String]) -> (Server, Dir) {
    let dir = Dir::new();
    let file = create(&dir, &schema());
    let server = Server::start(&dir, "db", &file, more);
    (server, dir)
}

/// Writes the schema, then makes a database of it.
pub fn create(dir: &Dir, schema: &Json) -> PathBuf {
    let (schema_file, file) = (dir.file("schema"), dir.file("db"));
    std::fs::write(&schema_file, schema.to_string()).expect("a file");
    run(program("usr/bin/ovsdb-tool")
        .arg("create")
        .arg(&file)
        .arg(&schema_file));
    file
}

pub const DATABASE: &str = "Test";

pub fn schema() -> Json {
    json!({"name": DATABASE, "version": "1.0.0", "tables": {
        "Thing": {
            "isRoot": true,
            "indexes": [["name"]],
            "columns": {
                "name": {"type": "string"},
                "count": {"type": {"key": {"type": "integer", "minInteger": -1000}}},
                "ratio": {"type": "real"},
                "flag": {"type": "boolean"},
                "note": {"type": {"key": "string", "min": 0, "max": 1}},
                "tags": {"type": {"key": "string", "min": 0, "max": "unlimited"}},
                "ids": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
                "part": {"type": {"key": {"type": "uuid", "refTable": "Part"}, "min": 0, "max": 1}},
            },
        },
        "Part": {"columns": {"name": {"type": "string"}}},
    }})
}

rows! {
    /// A row of the test's.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Thing in "Thing" {
        /// Unique.
        name: String,
        /// A number.
        count: i64,
        /// Text, or none.
        note: Option<String>,
        /// Texts.
        tags: std::collections::BTreeSet<String>,
        /// Pairs.
        ids: std::collections::BTreeMap<String, String>,
    }
}

impl Thing {
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            count: 0,
            note: None,
            tags: Default::default(),
            ids: Default::default(),
        }
    }

    pub fn insert(&self) -> ovsdb_client::Operation {
        ovsdb_client::Operation::Insert {
            table: "Thing".into(),
            row: ovsdb_client::Row::columns(self),
            uuid: None,
            name: None,
        }
    }
}

/// Numbers that look random and are the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
