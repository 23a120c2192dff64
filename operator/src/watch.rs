//! Lists and watches: each kind by itself, most-recent lists only, and an open
//! word when a watch is broken.

use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use futures::{FutureExt as _, StreamExt as _};
use http::Request;
use kube::core::WatchEvent;
use serde_json::Value;
use sluice_core::operator::event::{Event, Kind, Object};
use sluice_crds::names::LABEL_GATEWAY_UID;

use crate::children;
use crate::convert;
use crate::metrics::Metrics;
use crate::resource::Resource;
use crate::rest::{Failure, Rest, classify, from_status};

#[cfg(test)]
mod tests;

/// Objects per page of a list.
const PAGE: u32 = 500;
/// How often an absent optional kind is looked for.
const ABSENT: Duration = Duration::from_secs(10);
/// For how long a kind must be absent before that is believed: an API server
/// that has just started may not serve it yet. First when nothing was known of
/// it, then when objects of it were.
const DOUBT: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));
/// First and longest pause before a broken watch is begun anew.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The server ends a watch after this time; it is then resumed, nothing lost.
const WATCH_SECS: u64 = 180;
/// A watch that is silent for this much longer than it may last is broken.
const SILENCE: Duration = Duration::from_secs(WATCH_SECS + 20);

/// Who takes what a watch sees.
pub type Sink = Arc<dyn Fn(Vec<Event>) + Send + Sync>;

/// The watch of one kind.
pub struct Watcher {
    kind: Kind,
    resources: Vec<Resource>,
    rest: Rest,
    sink: Sink,
    settings: Arc<children::Settings>,
    metrics: Arc<Metrics>,
}

impl Watcher {
    /// A watch that has not begun.
    pub fn new(
        kind: Kind,
        rest: Rest,
        sink: Sink,
        settings: Arc<children::Settings>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            kind,
            resources: Resource::of(kind),
            rest,
            sink,
            settings,
            metrics,
        }
    }

    /// Watches for ever.
    pub async fn run(self) {
        let mut pause = PAUSE.0;
        let mut known = false;
        let mut absent_since = None;
        loop {
            let began = tokio::time::Instant::now();
            match self.list().await {
                Ok((objects, versions)) => {
                    tracing::debug!(kind = ?self.kind, objects = objects.len(), "listed");
                    self.metrics.listed(self.kind);
                    (known, absent_since) = (known || !objects.is_empty(), None);
                    self.reset(objects, &versions);
                    let follow = self
                        .resources
                        .iter()
                        .zip(versions)
                        .map(|(r, version)| self.follow(r, version).boxed());
                    let (failure, _, _) = select_all(follow).await;
                    (self.sink)(vec![Event::OutOfSync(self.kind)]);
                    self.metrics.broken(self.kind);
                    match failure {
                        Failure::Expired(_) => {
                            tracing::debug!(kind = ?self.kind, "watch history is gone, listing anew")
                        }
                        failure => {
                            tracing::warn!(kind = ?self.kind, %failure, "watch broke, listing anew")
                        }
                    }
                }
                Err(Failure::NoSuchKind) if self.resources.iter().all(|r| r.optional) => {
                    let doubt = if known { DOUBT.1 } else { DOUBT.0 };
                    if absent_since.get_or_insert(began).elapsed() >= doubt {
                        known = false;
                        self.reset(Vec::new(), &[]);
                        tokio::time::sleep(ABSENT).await;
                    } else {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                    continue;
                }
                Err(failure) => tracing::warn!(kind = ?self.kind, %failure, "cannot list"),
            }
            if began.elapsed() > PAUSE.1 * 5 {
                pause = PAUSE.0;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    fn reset(&self, objects: Vec<Object>, versions: &[String]) {
        let rendered: Vec<Event> = objects
            .iter()
            .filter_map(|o| children::rendered(o, &self.settings))
            .collect();
        let mut events = vec![Event::Reset {
            kind: self.kind,
            objects,
            versions: self
                .resources
                .iter()
                .zip(versions)
                .filter_map(|(resource, version)| Some((resource.child, version.parse().ok()?)))
                .collect(),
        }];
        events.extend(rendered);
        (self.sink)(events);
        self.metrics.synced(self.kind);
    }

    /// All objects, and the version of each resource's list.
    async fn list(&self) -> Result<(Vec<Object>, Vec<String>), Failure> {
        let mut objects = Vec::new();
        let mut versions = Vec::new();
        for resource in &self.resources {
            let before = objects.len();
            let version = match self.pages(resource, Some(PAGE), &mut objects).await {
                // Pages of a list that took too long no longer fit together.
                Err(Failure::Expired(_)) => {
                    objects.truncate(before);
                    self.pages(resource, None, &mut objects).await?
                }
                other => other?,
            };
            versions.push(version);
        }
        Ok((objects, versions))
    }

    async fn pages(
        &self,
        resource: &Resource,
        limit: Option<u32>,
        objects: &mut Vec<Object>,
    ) -> Result<String, Failure> {
        let mut token = String::new();
        loop {
            let mut path = format!("{}?{}", resource.everywhere(), selector(resource));
            if let Some(limit) = limit {
                path.push_str(&format!("&limit={limit}"));
            }
            if !token.is_empty() {
                path.push_str(&format!("&continue={}", escape(&token)));
            }
            let mut list = self.rest.get(&path).await?;
            let items = list.get_mut("items").map(Value::take);
            if let Some(Value::Array(items)) = items {
                objects.extend(
                    items
                        .into_iter()
                        .filter_map(|item| self.read(resource, item)),
                );
            }
            let text = |path: &str| {
                list.pointer(path)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            token = text("/metadata/continue");
            if token.is_empty() {
                return match text("/metadata/resourceVersion") {
                    version if version.is_empty() => {
                        Err(Failure::Unknown("a list without resourceVersion".into()))
                    }
                    version => Ok(version),
                };
            }
        }
    }

    /// Follows one resource until its watch breaks.
    async fn follow(&self, resource: &Resource, mut version: String) -> Failure {
        loop {
            let path = format!(
                "{}?watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={WATCH_SECS}&{}",
                resource.everywhere(),
                selector(resource)
            );
            let request = match Request::get(&path).body(Vec::new()) {
                Ok(request) => request,
                Err(error) => return Failure::Unknown(format!("request for {path}: {error}")),
            };
            let opened = tokio::time::Instant::now();
            let opening = self.rest.client().request_events::<Value>(request);
            let mut stream = match tokio::time::timeout(SILENCE, opening).await {
                Ok(Ok(stream)) => stream.boxed(),
                Ok(Err(error)) => return classify(&error),
                Err(_) => return Failure::Unknown(format!("no answer for {SILENCE:?}")),
            };
            loop {
                match tokio::time::timeout(SILENCE, stream.next()).await {
                    Err(_) => return Failure::Unknown(format!("nothing heard for {SILENCE:?}")),
                    Ok(None) => break,
                    Ok(Some(Err(error))) => return classify(&error),
                    Ok(Some(Ok(event))) => match self.seen(resource, event) {
                        Ok(Some(newer)) => version = newer,
                        Ok(None) => {}
                        Err(failure) => return failure,
                    },
                }
            }
            // A server that ends watches at once is not to be asked at once again.
            if opened.elapsed() < Duration::from_secs(1) {
                return Failure::Unknown("the watch ended at once".into());
            }
        }
    }

    /// Passes a watch event on; the version to resume from, if it tells one.
    fn seen(
        &self,
        resource: &Resource,
        event: WatchEvent<Value>,
    ) -> Result<Option<String>, Failure> {
        let version = |object: &Value| {
            object
                .pointer("/metadata/resourceVersion")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let version = version(&object);
                if let Some(object) = self.read(resource, object) {
                    let rendered = children::rendered(&object, &self.settings);
                    let mut events = vec![Event::Apply(Box::new(object))];
                    events.extend(rendered);
                    (self.sink)(events);
                }
                Ok(version)
            }
            WatchEvent::Deleted(object) => {
                match convert::identity(&object) {
                    Ok((key, uid)) => {
                        let ended = version(&object).and_then(|version| version.parse().ok());
                        let gone = Event::Delete {
                            kind: self.kind,
                            child: resource.child,
                            key,
                            uid,
                            version: ended.unwrap_or(u64::MAX),
                        };
                        (self.sink)(vec![gone]);
                    }
                    Err(error) => {
                        tracing::warn!(kind = ?self.kind, %error, "a deletion without name is left out")
                    }
                }
                Ok(version(&object))
            }
            WatchEvent::Bookmark(bookmark) => Ok(Some(bookmark.metadata.resource_version)),
            WatchEvent::Error(status) => Err(from_status(&status)),
        }
    }

    /// Reads an object; one that cannot be read is left out, others go on.
    fn read(&self, resource: &Resource, value: Value) -> Option<Object> {
        let name = convert::identity(&value).map(|(key, _)| key);
        match convert::object(resource, value) {
            Ok(object) => Some(object),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(kind = ?self.kind, object = ?name.ok(), %error, cause, "an object is left out");
                self.metrics.unreadable(self.kind);
                None
            }
        }
    }
}

fn selector(resource: &Resource) -> String {
    if resource.labelled {
        format!("labelSelector={}", escape(LABEL_GATEWAY_UID))
    } else {
        String::new()
    }
}

/// Percent-encodes what has a meaning in a query.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
