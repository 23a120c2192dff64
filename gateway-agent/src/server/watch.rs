//! Watching one object by its name.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Api;
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use sluice_core::agent::Event;

use super::{CallError, Server};

/// How long a watch lasts before the server ends it, seconds. A connection
/// that died silently is noticed soon after.
const LASTS_SECS: u32 = 60;
/// Waits after a failure: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Watches the object of this name for ever, from a most-recent list on.
pub(super) async fn one<K>(
    api: Api<K>,
    name: &str,
    server: Server,
    tell: impl Fn(Option<K>) -> Event,
) where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(LASTS_SECS);
    let mut stream = Box::pin(watcher(api, config));
    let mut listed = false;
    let mut wait = RETRY.0;
    while let Some(event) = stream.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(error = crate::run::chain(&error), name, "watch broke");
                if is_unauthorized(error) {
                    server.send(Event::Unauthorized).await;
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
                continue;
            }
        };
        wait = RETRY.0;
        match event {
            watcher::Event::Init => listed = false,
            watcher::Event::InitApply(object) => {
                listed = true;
                server.send(tell(Some(object))).await;
            }
            watcher::Event::InitDone if listed => {}
            watcher::Event::InitDone | watcher::Event::Delete(_) => server.send(tell(None)).await,
            watcher::Event::Apply(object) => server.send(tell(Some(object))).await,
        }
    }
}

fn is_unauthorized(error: watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => CallError::from(error) == CallError::Unauthorized,
        watcher::Error::WatchError(status) => status.code == 401,
        watcher::Error::NoResourceVersion => false,
    }
}
