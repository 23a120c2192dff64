//! Probing an address at short intervals, from a host of the lab.
//!
//! Requests do not wait for each other: one is sent every interval, whatever
//! became of the ones before, so a gap in the answers is a gap in time.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::echo::Seen;
use crate::error::{Doing, Result};
use crate::netns;

/// How to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A new TCP connection and an HTTP GET on it.
    Tcp,
    /// A datagram; all from one port, so that they are one flow.
    Udp,
    /// A datagram from a new port each time, so that each is a new flow.
    UdpFresh,
}

/// What to probe, how, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Whom.
    pub target: SocketAddr,
    /// How.
    pub method: Method,
    /// Between two requests; not zero.
    pub interval: Duration,
    /// After which a request counts as unanswered.
    pub patience: Duration,
    /// When to stop; unset: when told to.
    pub length: Option<Duration>,
}

/// One request and what became of it. Samples come in the order in which that
/// was known, not in the order of sending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was sent, RFC 3339 with fractions of a second, UTC.
    pub time: String,
    /// Counts the requests, from 0.
    pub sequence: u64,
    /// Whether an answer came in time.
    pub answered: bool,
    /// The pod or host that answered.
    pub pod: Option<String>,
    /// Where the answering side saw the request come from.
    pub seen_source: Option<String>,
    /// Until the answer, in microseconds.
    pub latency_us: Option<u64>,
    /// Why there is no answer.
    pub error: Option<String>,
}

impl Plan {
    /// A plan with the usual values: every 10 ms, patience of 1 s, no end.
    #[must_use]
    pub fn new(address: IpAddr, method: Method, port: u16) -> Self {
        Self {
            target: SocketAddr::new(address, port),
            method,
            interval: Duration::from_millis(10),
            patience: Duration::from_secs(1),
            length: None,
        }
    }
}

/// Probes from the network namespace at `namespace` until the plan's end or
/// `stop`, and hands each sample to `each`.
///
/// # Errors
/// When the namespace cannot be entered or a socket cannot be made.
pub fn run(
    namespace: &Path,
    plan: Plan,
    stop: &Arc<AtomicBool>,
    mut each: impl FnMut(Sample) + Send,
) -> Result<()> {
    netns::within(namespace, || {
        // One thread: the one that entered the namespace makes all sockets.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .doing(|| "start the runtime".into())?;
        runtime.block_on(async {
            let (send, mut receive) = mpsc::unbounded_channel();
            let asking = ask_all(plan, Arc::clone(stop), send);
            let telling = async {
                while let Some(sample) = receive.recv().await {
                    each(sample);
                }
            };
            tokio::join!(asking, telling).0
        })
    })
}

async fn ask_all(
    plan: Plan,
    stop: Arc<AtomicBool>,
    out: mpsc::UnboundedSender<Sample>,
) -> Result<()> {
    let shared = if plan.method == Method::Udp {
        Some(Flow::open(plan.target).await?)
    } else {
        None
    };
    let mut ticks = interval(plan.interval.max(Duration::from_micros(100)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let start = Instant::now();
    let mut sequence = 0;
    while !stop.load(Ordering::Relaxed) && plan.length.is_none_or(|length| start.elapsed() < length)
    {
        ticks.tick().await;
        let (flow, out) = (shared.clone(), out.clone());
        tokio::spawn(async move {
            let sample = ask(plan, flow, sequence).await;
            // Nobody listens any more: nobody needs the sample.
            let _ = out.send(sample);
        });
        sequence += 1;
    }
    Ok(())
}

async fn ask(plan: Plan, flow: Option<Flow>, sequence: u64) -> Sample {
    let (time, start) = (Timestamp::now(), Instant::now());
    let asked = async {
        match (plan.method, flow) {
            (Method::Udp, Some(flow)) => flow.ask(sequence).await,
            (Method::Tcp, _) => tcp(plan.target).await,
            _ => match Flow::open(plan.target).await {
                Ok(flow) => flow.ask(sequence).await,
                Err(error) => Err(std::io::Error::other(error.one_line())),
            },
        }
    };
    let result = timeout(plan.patience, asked).await;
    let latency = u64::try_from(start.elapsed().as_micros()).ok();
    let (seen, error) = match result {
        Ok(Ok(seen)) => (Some(seen), None),
        Ok(Err(error)) => (None, Some(error.to_string())),
        Err(_) => (None, Some("no answer in time".to_owned())),
    };
    Sample {
        time: time.to_string(),
        sequence,
        answered: seen.is_some(),
        latency_us: latency.filter(|_| seen.is_some()),
        pod: seen.as_ref().map(|seen| seen.pod.clone()),
        seen_source: seen.map(|seen| seen.source),
        error,
    }
}

async fn tcp(target: SocketAddr) -> std::io::Result<Seen> {
    let mut stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    stream
        .write_all(format!("GET / HTTP/1.0\r\nHost: {target}\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).map_err(std::io::Error::other)
}

/// One UDP flow that many requests share.
#[derive(Clone)]
struct Flow {
    socket: Arc<UdpSocket>,
    waiting:
        Arc<std::sync::Mutex<std::collections::HashMap<u64, tokio::sync::oneshot::Sender<Seen>>>>,
}

impl Flow {
    async fn open(target: SocketAddr) -> Result<Self> {
        let any: SocketAddr = if target.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0; 16], 0).into()
        };
        let socket = UdpSocket::bind(any)
            .await
            .doing(|| "open a UDP socket".into())?;
        socket
            .connect(target)
            .await
            .doing(|| format!("aim at {target}"))?;
        let flow = Self {
            socket: Arc::new(socket),
            waiting: Arc::default(),
        };
        let (socket, waiting) = (Arc::downgrade(&flow.socket), Arc::downgrade(&flow.waiting));
        tokio::spawn(async move {
            let mut buffer = vec![0; 2048];
            while let (Some(socket), Some(waiting)) = (socket.upgrade(), waiting.upgrade()) {
                let heard = timeout(Duration::from_millis(200), socket.recv(&mut buffer)).await;
                let Ok(Ok(length)) = heard else { continue };
                let seen: Option<Seen> = buffer
                    .get(..length)
                    .and_then(|bytes| serde_json::from_slice(bytes).ok());
                if let Some((seen, number)) = seen
                    .and_then(|seen| Some((seen.data.parse().ok()?, seen)))
                    .map(|(number, seen): (u64, Seen)| (seen, number))
                {
                    let waiter = waiting.lock().ok().and_then(|mut all| all.remove(&number));
                    if let Some(waiter) = waiter {
                        let _ = waiter.send(seen);
                    }
                }
            }
        });
        Ok(flow)
    }

    async fn ask(&self, sequence: u64) -> std::io::Result<Seen> {
        let (tell, told) = tokio::sync::oneshot::channel();
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.insert(sequence, tell);
        }
        // An ICMP answer to an earlier datagram shows up here: send again.
        let text = sequence.to_string();
        if self.socket.send(text.as_bytes()).await.is_err() {
            self.socket.send(text.as_bytes()).await?;
        }
        told.await.map_err(std::io::Error::other)
    }
}
