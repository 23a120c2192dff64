//! A proxy before a server that can cut connections at a byte, and hold what the server says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ovsdb_client::Remote;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// Bytes from the server that may still pass; then the connection is cut.
    allowance: AtomicU64,
    limited: AtomicBool,
    cut: Notify,
    passed: AtomicU64,
    connections: AtomicU64,
}

impl Proxy {
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(State::default());
        let task = tokio::spawn({
            let state = state.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    state.connections.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(relay(client, to, state.clone()));
                }
            }
        });
        Self { port, state, task }
    }

    pub fn remote(&self) -> Remote {
        format!("tcp:127.0.0.1:{}", self.port)
            .parse()
            .expect("a remote")
    }

    /// Cuts the connection once the server has sent so many bytes more.
    pub fn cut_after(&self, bytes: u64) {
        self.state.allowance.store(bytes, Ordering::SeqCst);
        self.state.limited.store(true, Ordering::SeqCst);
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.state.cut.notify_waiters();
    }

    /// Bytes that passed from the server.
    pub fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(client: TcpStream, to: u16, state: Arc<State>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match from_client.read(&mut buffer).await {
                Ok(got) if got > 0 => {
                    if to_server.write_all(&buffer[..got]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let Ok(mut got) = from_server.read(&mut buffer).await else {
                return;
            };
            if got == 0 {
                return;
            }
            let limited = state.limited.load(Ordering::SeqCst);
            let allowed = state.allowance.load(Ordering::SeqCst);
            let cut = limited && got as u64 >= allowed;
            if limited {
                got = got.min(allowed as usize);
                state
                    .allowance
                    .store(allowed - got as u64, Ordering::SeqCst);
            }
            if to_client.write_all(&buffer[..got]).await.is_err() {
                return;
            }
            state.passed.fetch_add(got as u64, Ordering::SeqCst);
            if cut {
                state.limited.store(false, Ordering::SeqCst);
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        () = state.cut.notified() => {}
    }
}
