//! The reading half: replies go to jsonrpsee, updates to their monitors, echoes back.

use std::sync::Arc;
use std::time::Duration;

use jsonrpsee_core::client::{ReceivedMessage, TransportReceiverT};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, timeout};

use super::wire::{self, Incoming};
use super::{Frames, Queues, TransportError, Writer};

/// Reads a socket.
pub(crate) struct Receiver<R> {
    socket: R,
    frames: Frames,
    buffer: Box<[u8]>,
    writer: Writer,
    queues: Arc<Queues>,
    /// After so long without a byte the server is asked for a sign of life, and after twice that
    /// the connection is given up.
    probe: Duration,
    /// Called once, with the reason, when the connection ends.
    ended: Option<Box<dyn FnOnce(String) + Send>>,
}

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

impl<R: AsyncRead + Send + Unpin> Receiver<R> {
    pub(crate) fn new(
        socket: R,
        writer: Writer,
        queues: Arc<Queues>,
        probe: Duration,
        longest_message: usize,
        ended: Box<dyn FnOnce(String) + Send>,
    ) -> Self {
        Self {
            socket,
            frames: Frames::new(longest_message),
            buffer: vec![0; CHUNK].into_boxed_slice(),
            writer,
            queues,
            probe,
            ended: Some(ended),
        }
    }

    /// The next reply; all else is dealt with on the way to it.
    async fn reply(&mut self) -> Result<String, TransportError> {
        loop {
            while let Some(message) = self.frames.next()? {
                match wire::read(&message)? {
                    Incoming::Reply(reply) => return Ok(reply),
                    Incoming::Echo { id, params } => self.writer.echo(wire::echo_reply(id, params)),
                    Incoming::Alive => {}
                    Incoming::Update { monitor, params } => self.queue(&monitor, params).await,
                    Incoming::Canceled { monitor } => self.queues.cancel(&monitor),
                    Incoming::Other { method } => {
                        tracing::warn!(method, "a notification that was not asked for is dropped");
                    }
                }
            }
            self.read().await?;
        }
    }

    /// Puts an update into its monitor's queue once there is room.
    async fn queue(&mut self, monitor: &str, params: &str) {
        if let Some(place) = self.queues.room(monitor, params.len()).await {
            place.put(params.to_owned());
        }
    }

    async fn read(&mut self) -> Result<(), TransportError> {
        let since = Instant::now();
        let got = match timeout(self.probe, self.socket.read(&mut self.buffer)).await {
            Ok(got) => got?,
            Err(_) => {
                self.writer.echo(wire::own_echo());
                match timeout(self.probe, self.socket.read(&mut self.buffer)).await {
                    Ok(got) => got?,
                    Err(_) => {
                        return Err(TransportError::Silent {
                            for_ms: since.elapsed().as_millis(),
                        });
                    }
                }
            }
        };
        match (got, self.frames.pending()) {
            (0, 0) => Err(TransportError::End),
            (0, got) => Err(TransportError::Cut { got }),
            (got, _) => {
                self.frames.push(self.buffer.get(..got).unwrap_or_default());
                Ok(())
            }
        }
    }
}

impl<R: AsyncRead + Send + Unpin + 'static> TransportReceiverT for Receiver<R> {
    type Error = TransportError;

    async fn receive(&mut self) -> Result<ReceivedMessage, TransportError> {
        let reply = self.reply().await;
        if let (Err(error), Some(ended)) = (&reply, self.ended.take()) {
            self.queues.close();
            ended(error.to_string());
        }
        reply.map(ReceivedMessage::Text)
    }
}

impl<R> Drop for Receiver<R> {
    fn drop(&mut self) {
        self.queues.close();
        if let Some(ended) = self.ended.take() {
            ended("the client was dropped".to_owned());
        }
    }
}
