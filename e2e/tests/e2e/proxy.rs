//! A proxy between an operator and the API server that counts writes, and ends
//! the operator at one of them: before the API server has seen it, or after it
//! was done but before the operator knows.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use kube::Client;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::failure::Outcome;

/// The largest request that is passed on, in bytes.
const LARGEST: usize = 16 << 20;

/// What the proxy shall do and has done.
#[derive(Default)]
pub struct Count {
    /// Writes passed on since the last [`Count::arm`].
    pub writes: AtomicU64,
    /// Whether the operator was ended.
    pub killed: AtomicBool,
    /// What the fatal write was, for the reader.
    pub fatal: Mutex<String>,
    at: AtomicU64,
    after: AtomicBool,
    process: AtomicI64,
}

impl Count {
    /// Ends `process` at its write number `at` (from 1; 0: never), `after` it
    /// was done or before.
    pub fn arm(&self, process: u32, at: u64, after: bool) {
        self.process.store(i64::from(process), Ordering::SeqCst);
        self.writes.store(0, Ordering::SeqCst);
        self.killed.store(false, Ordering::SeqCst);
        self.after.store(after, Ordering::SeqCst);
        self.at.store(at, Ordering::SeqCst);
    }

    fn kill(&self, what: String) {
        *self.fatal.lock().unwrap_or_else(PoisonError::into_inner) = what;
        let process = i32::try_from(self.process.load(Ordering::SeqCst))
            .ok()
            .and_then(Pid::from_raw);
        if let Some(process) = process {
            // Gone already is what is wanted.
            let _ = kill_process(process, Signal::KILL);
        }
        self.killed.store(true, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct Upstream {
    client: Client,
    count: Arc<Count>,
}

/// Serves on `listener` until the runtime ends, as whoever `client` is.
pub fn start(runtime: &Runtime, listener: TcpListener, client: Client) -> Outcome<Arc<Count>> {
    let count = Arc::new(Count::default());
    let upstream = Upstream {
        client,
        count: count.clone(),
    };
    listener.set_nonblocking(true)?;
    let _inside = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = Router::new().fallback(pass).with_state(upstream);
    runtime.spawn(async move {
        // It serves until the runtime ends.
        let _ = axum::serve(listener, router).await;
    });
    Ok(count)
}

async fn pass(State(upstream): State<Upstream>, request: Request) -> Response {
    let write = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if !write {
        return forward(&upstream.client, request).await;
    }
    let count = &upstream.count;
    if count.killed.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let number = count.writes.fetch_add(1, Ordering::SeqCst) + 1;
    let fatal = number == count.at.load(Ordering::SeqCst);
    let what = format!("{} {}", request.method(), request.uri().path());
    if fatal && !count.after.load(Ordering::SeqCst) {
        count.kill(format!("before write {number}, {what}"));
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let answer = forward(&upstream.client, request).await;
    if fatal {
        count.kill(format!("after write {number}, {what}"));
    }
    answer
}

async fn forward(client: &Client, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, LARGEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let mut onward = axum::http::Request::builder()
        .method(parts.method)
        .uri(path);
    if let Some(headers) = onward.headers_mut() {
        copy(&parts.headers, headers);
    }
    let Ok(onward) = onward.body(kube::client::Body::from(bytes)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match client.send(onward).await {
        Ok(answer) => {
            let (parts, body) = answer.into_parts();
            let mut out = Response::new(Body::new(body));
            *out.status_mut() = parts.status;
            copy(&parts.headers, out.headers_mut());
            out
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// Copies what is about the content, not about the connection.
fn copy(from: &HeaderMap, to: &mut HeaderMap) {
    for name in [
        header::CONTENT_TYPE,
        header::ACCEPT,
        header::USER_AGENT,
        header::WARNING,
        header::RETRY_AFTER,
    ] {
        if let Some(value) = from.get(&name) {
            to.insert(name, value.clone());
        }
    }
}
