//! The writing half: requests of jsonrpsee's and echoes, one after another.

use std::time::Duration;

use jsonrpsee_core::client::TransportSenderT;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::{TransportError, wire};

/// Takes requests of jsonrpsee's.
#[derive(Debug)]
pub(crate) struct Sender(mpsc::Sender<String>);

/// Takes answers to echo, and own echoes. Never waits: one that does not fit is not sent, as so
/// many before it are not yet.
#[derive(Debug, Clone)]
pub(crate) struct Writer(mpsc::Sender<String>);

impl Writer {
    /// Starts a task that writes. It ends when the socket fails or the [`Sender`] is closed.
    ///
    /// When nothing was written for `quiet` it writes an echo of its own. A server's echo may
    /// wait behind many updates, and is not read at all while nobody takes them: this client
    /// shall not be taken for dead then.
    pub(crate) fn start(
        mut socket: impl AsyncWrite + Send + Unpin + 'static,
        quiet: Duration,
    ) -> (Sender, Self) {
        // Requests wait in jsonrpsee's queue: one at a time is taken from there.
        let (sender, mut requests) = mpsc::channel::<String>(1);
        let (writer, mut echoes) = mpsc::channel::<String>(8);
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    biased;
                    Some(echo) = echoes.recv() => echo,
                    request = requests.recv() => match request {
                        Some(request) => request,
                        None => break,
                    },
                    () = tokio::time::sleep(quiet) => wire::own_echo(),
                };
                let written = socket.write_all(message.as_bytes()).await;
                if written.and(socket.flush().await).is_err() {
                    break;
                }
            }
            // The reading half tells what became of the connection.
            let _ = socket.shutdown().await;
        });
        (Sender(sender), Self(writer))
    }

    pub(crate) fn echo(&self, message: String) {
        let _ = self.0.try_send(message);
    }
}

impl TransportSenderT for Sender {
    type Error = TransportError;

    async fn send(&mut self, message: String) -> Result<(), TransportError> {
        let request = wire::request(&message)?;
        self.0
            .send(request)
            .await
            .map_err(|_| TransportError::WriterGone)
    }
}
