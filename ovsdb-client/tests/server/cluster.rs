//! Three servers that are one, and lose their leader.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ovsdb_client::client::Event;
use ovsdb_client::{
    Client, Config, Connection, ErrorKind, Limits, Operation, Remote, Row as _, Status,
    TableMonitor, TransactError, Uuid,
};

use super::process::{DATABASE, Dir, Server, Thing, free_port, program, run, schema};

struct Cluster {
    dir: Dir,
    files: Vec<PathBuf>,
    servers: Vec<Option<Server>>,
}

impl Cluster {
    fn start() -> Self {
        let dir = Dir::new();
        let schema_file = dir.file("schema");
        std::fs::write(&schema_file, schema().to_string()).expect("a file");
        let peers: Vec<String> = (0..3)
            .map(|_| format!("tcp:127.0.0.1:{}", free_port()))
            .collect();
        let mut cluster = Self {
            dir,
            files: Vec::new(),
            servers: Vec::new(),
        };
        for (n, peer) in peers.iter().enumerate() {
            let file = cluster.dir.file(&format!("db{n}"));
            let mut tool = program("usr/bin/ovsdb-tool");
            match n {
                0 => tool
                    .arg("create-cluster")
                    .arg(&file)
                    .arg(&schema_file)
                    .arg(peer),
                _ => tool
                    .arg("join-cluster")
                    .arg(&file)
                    .arg(DATABASE)
                    .arg(peer)
                    .arg(&peers[0]),
            };
            run(&mut tool);
            cluster.files.push(file);
            cluster.servers.push(None);
            cluster.revive(n);
        }
        cluster
    }

    fn revive(&mut self, n: usize) {
        self.servers[n] = Some(Server::start(
            &self.dir,
            &format!("s{n}"),
            &self.files[n],
            &[],
        ));
    }

    /// Where they are. A server that is revived gets another port, so these are sockets.
    fn remotes(&self) -> Vec<Remote> {
        (0..3)
            .map(|n| Remote::Unix(self.dir.file(&format!("s{n}.sock"))))
            .collect()
    }

    /// The server that leads, once there is one.
    async fn leader(&self) -> usize {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while tokio::time::Instant::now() < deadline {
            for (n, server) in self.servers.iter().enumerate() {
                let status = server
                    .as_ref()
                    .map(|server| server.control(&["cluster/status", DATABASE]));
                if status.is_some_and(|status| status.contains("Role: leader")) {
                    return n;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nobody leads");
    }

    async fn all_joined(&self) {
        for server in self.servers.iter().flatten() {
            let joined = || {
                server
                    .control(&["cluster/status", DATABASE])
                    .contains("Status: cluster member")
            };
            while !joined() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn config(cluster: &Cluster) -> Config {
    let mut config = Config::new(cluster.remotes(), DATABASE).monitor(TableMonitor::of::<Thing>());
    config.longest_backoff = Duration::from_millis(500);
    config
}

/// Inserts a row that may be inserted by an earlier try already.
async fn put(client: &Client, uuid: Uuid, name: &str) {
    let insert = Operation::Insert {
        table: "Thing".into(),
        row: Thing::named(name).columns(),
        uuid: Some(uuid),
        name: None,
    };
    loop {
        match client.transact(std::slice::from_ref(&insert)).await {
            Ok(_) => return,
            Err(TransactError::Refused(refusal)) => {
                let kind = refusal.kind();
                assert_eq!(kind, Some(&ErrorKind::DuplicateUuid), "{refusal}");
                return;
            }
            Err(TransactError::Unknown { .. } | TransactError::NotSent { .. }) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_killed_during_writes_loses_and_doubles_nothing() {
    let mut cluster = Cluster::start();
    cluster.all_joined().await;
    let client = Client::start(config(&cluster));
    client.synced().await;
    let mut digest = [0; 16];
    for n in 0..1_000_u32 {
        if n == 300 || n == 600 {
            let leader = cluster.leader().await;
            cluster.servers[leader].take();
            if n == 300 {
                // The second one may die only when there are three again.
                put(&client, Uuid::from_digest([0xff; 16]), "between").await;
                cluster.revive(leader);
                cluster.all_joined().await;
            }
        }
        digest[..4].copy_from_slice(&n.to_be_bytes());
        put(&client, Uuid::from_digest(digest), &format!("n{n}")).await;
    }
    let named: BTreeMap<_, _> = client.read(|replica| replica.all::<Thing>()).expect("rows");
    assert_eq!(named.len(), 1_001);
    let select = Operation::Select {
        table: "Thing".into(),
        conditions: Vec::new(),
        columns: None,
    };
    let outcomes = client.transact(&[select]).await.expect("done");
    assert_eq!(outcomes[0].rows().map(<[_]>::len), Some(1_001));
    assert!(matches!(client.status(), Status::Synced { epoch: 2.., .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_follows_the_leader_and_goes_on_where_it_was() {
    let cluster = Cluster::start();
    cluster.all_joined().await;
    let leader = cluster.leader().await;
    let client = Client::start(config(&cluster));
    client.synced().await;
    let remote = |client: &Client| match client.status() {
        Status::Synced { remote, .. } => remote,
        Status::Away { reason } => reason,
    };
    assert_eq!(remote(&client), cluster.remotes()[leader].to_string());
    let rows: Vec<_> = (0..50)
        .map(|n| Thing::named(&format!("n{n}")).insert())
        .collect();
    client.transact(&rows).await.expect("done");
    let mut watch = client.watch();
    // The leader leaves its cluster in good order; the client goes on at another.
    let old = cluster.remotes()[leader].to_string();
    let server = cluster.servers[leader].as_ref().expect("it runs");
    server.control(&["cluster/leave", DATABASE]);
    let moved = async {
        while remote(&client) == old || matches!(client.status(), Status::Away { .. }) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), moved)
        .await
        .expect("another leads");
    client
        .transact(&[Thing::named("after").insert()])
        .await
        .expect("done");
    let mut told = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(500), watch.next()).await
    {
        if let Event::Rows(changes) = event {
            told += changes.values().map(|rows| rows.len()).sum::<usize>();
        }
    }
    assert_eq!(told, 1, "rows told though they did not change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clustered_server_resumes_from_a_transaction() {
    let cluster = Cluster::start();
    cluster.all_joined().await;
    let leader = &cluster.remotes()[cluster.leader().await];
    let connection = Connection::open(leader, None, Limits::default())
        .await
        .expect("a connection");
    let rows: Vec<_> = (0..50)
        .map(|n| Thing::named(&format!("n{n}")).insert())
        .collect();
    connection.transact(DATABASE, &rows).await.expect("done");
    let tables = [TableMonitor::of::<Thing>()];
    let first = connection
        .monitor_cond_since(DATABASE, &tables, None)
        .await
        .expect("a monitor");
    assert_eq!((first.resumed, first.initial["Thing"].len()), (false, 50));
    connection
        .transact(DATABASE, &[Thing::named("more").insert()])
        .await
        .expect("done");
    let again = connection
        .monitor_cond_since(DATABASE, &tables, first.last)
        .await
        .expect("a monitor");
    assert_eq!((again.resumed, again.initial["Thing"].len()), (true, 1));
    let unknown = Some(Uuid::from_digest([9; 16]));
    let other = connection
        .monitor_cond_since(DATABASE, &tables, unknown)
        .await
        .expect("a monitor");
    assert_eq!((other.resumed, other.initial["Thing"].len()), (false, 51));
}
