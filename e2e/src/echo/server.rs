//! The echo server.

use std::env;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{LINE_PORT, Seen, datagrams};
use crate::error::{Doing, LabError, Result};

/// The longest request line, header line or text line that is read, in bytes.
const MAX_LINE: u64 = 8192;

/// Serves until it is killed.
///
/// # Errors
/// When a port cannot be listened on.
pub fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "start the runtime".into())?;
    runtime.block_on(serve())
}

async fn serve() -> Result<()> {
    let pod = env::var("POD_NAME")
        .or_else(|_| env::var("HOSTNAME"))
        .unwrap_or_default();
    let http = std::iter::once(80).chain(8000..=8099).chain(9000..=9099);
    for port in http {
        let listener = listen(port).await?;
        let pod = pod.clone();
        tokio::spawn(async move { accept(listener, pod, false).await });
    }
    let lines = listen(LINE_PORT).await?;
    tokio::spawn(accept(lines, pod.clone(), true));
    datagrams::serve(pod).await;
    Ok(())
}

/// A listener for both families where the machine has both.
async fn listen(port: u16) -> Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            .await
            .doing(|| format!("listen on TCP port {port}")),
    }
}

async fn accept(listener: TcpListener, pod: String, lines: bool) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors, or a client that went at once.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let pod = pod.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            // A client that goes away ends its own connection only.
            let _ = if lines {
                answer_lines(stream, peer, &pod).await
            } else {
                answer_http(stream, peer, &pod).await
            };
        });
    }
}

async fn answer_lines(stream: TcpStream, peer: SocketAddr, pod: &str) -> io::Result<()> {
    let own = stream.local_addr()?;
    let mut stream = BufReader::new(stream);
    let mut sequence = 0;
    let mut data = String::new();
    loop {
        let seen = Seen::new(pod, "tcp", peer, own, sequence, data.trim_end());
        stream.write_all(seen.line().as_bytes()).await?;
        sequence += 1;
        match read_line(&mut stream).await? {
            Some(line) => data = line,
            None => return Ok(()),
        }
    }
}

async fn answer_http(stream: TcpStream, peer: SocketAddr, pod: &str) -> io::Result<()> {
    let own = stream.local_addr()?;
    let mut stream = BufReader::new(stream);
    let mut sequence = 0;
    while let Some(request) = read_line(&mut stream).await? {
        let mut words = request.split_whitespace().skip(1);
        let path = words.next().unwrap_or("/").to_owned();
        let mut keep = words.next() == Some("HTTP/1.1");
        while let Some(header) = read_line(&mut stream).await? {
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            keep &= header != "connection: close";
        }
        let seen = Seen::new(pod, "tcp", peer, own, sequence, &path);
        if path.starts_with("/stream") {
            return stream_answers(&mut stream, seen, keep).await;
        }
        let body = seen.line();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
            body.len(),
            if keep { "keep-alive" } else { "close" }
        );
        stream.write_all((head + &body).as_bytes()).await?;
        if !keep {
            break;
        }
        sequence += 1;
    }
    stream.shutdown().await
}

/// `/stream?n=COUNT&interval_ms=MS`: that many lines, one at a time.
async fn stream_answers(
    stream: &mut BufReader<TcpStream>,
    mut seen: Seen,
    chunked: bool,
) -> io::Result<()> {
    let number = |name: &str, default: u64| {
        let query = seen.data.split_once('?').map_or("", |(_, query)| query);
        let found = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let (count, interval) = (
        number("n", 10),
        Duration::from_millis(number("interval_ms", 1000)),
    );
    let how = if chunked {
        "Transfer-Encoding: chunked\r\n"
    } else {
        ""
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{how}Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    for sequence in 0..count {
        if sequence > 0 {
            tokio::time::sleep(interval).await;
        }
        seen.sequence = sequence;
        let line = seen.line();
        let piece = if chunked {
            format!("{:x}\r\n{line}\r\n", line.len())
        } else {
            line
        };
        stream.write_all(piece.as_bytes()).await?;
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    stream.shutdown().await
}

/// The next line; `None` at the end, an error when it is too long.
async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    (&mut *stream)
        .take(MAX_LINE)
        .read_until(b'\n', &mut bytes)
        .await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.last() != Some(&b'\n') && bytes.len() as u64 >= MAX_LINE {
        return Err(io::Error::other(LabError::Content("line too long".into())));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
