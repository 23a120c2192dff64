//! Header and slices.

use futures::StreamExt as _;
use sluice_core::agent::{Event, Header};
use sluice_core::identity::{Revision, Uid};
use sluice_crds::GatewayConfig;

use super::{CallError, Server, call};

/// How many slices are read at once: each takes a connection, whose making
/// costs more than a read.
const AT_ONCE: usize = 8;

/// The header as the agent wants it; none without UID and generation, which
/// the API server always gives.
pub(super) fn header(config: GatewayConfig) -> Option<Header> {
    Some(Header {
        revision: Revision {
            uid: Uid::new(config.metadata.uid?),
            generation: config.metadata.generation?,
        },
        spec: config.spec,
    })
}

impl Server {
    /// Reads the header by a quorum read.
    pub(super) async fn read_header(&self) -> Result<Option<Header>, String> {
        let read = self.configs.get(&self.options.gateway);
        match self.told(call("config", &self.metrics, read).await).await {
            Ok(config) => Ok(header(config)),
            Err(CallError::NotFound) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Reads slices, some at a time.
    pub(super) async fn fetch_slices(&self, names: Vec<String>) -> Event {
        let reads = names.into_iter().map(|name| async move {
            let read = call("slice", &self.metrics, self.slices.get(&name)).await;
            (name, read)
        });
        let mut reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        let (mut found, mut missing, mut error) = (Vec::new(), Vec::new(), None);
        while let Some((name, read)) = reads.next().await {
            match self.told(read).await {
                Ok(slice) => found.push((name, slice.spec)),
                Err(CallError::NotFound) => missing.push(name),
                Err(other) => error = Some(format!("{name}: {other}")),
            }
        }
        Event::Slices {
            found,
            missing,
            error,
        }
    }
}
