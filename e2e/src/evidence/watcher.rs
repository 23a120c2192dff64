//! Watching every kind of Sluice, and Leases, into a history.
//!
//! A watch that breaks goes on at the resourceVersion where it broke, so no
//! version is missed while the API server still keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::history::{Harm, History, Mark, What};

/// Group, version, kind and plural of all that is watched.
pub const KINDS: [(&str, &str, &str, &str); 11] = [
    ("sluice.dev", "v1alpha1", "EIPPool", "eippools"),
    ("sluice.dev", "v1alpha1", "NATGateway", "natgateways"),
    ("sluice.dev", "v1alpha1", "EIP", "eips"),
    ("sluice.dev", "v1alpha1", "FIP", "fips"),
    ("sluice.dev", "v1alpha1", "DNAT", "dnats"),
    ("sluice.dev", "v1alpha1", "SNAT", "snats"),
    (
        "internal.sluice.dev",
        "v1alpha1",
        "GatewayConfig",
        "gatewayconfigs",
    ),
    ("internal.sluice.dev", "v1alpha1", "RuleSlice", "ruleslices"),
    (
        "internal.sluice.dev",
        "v1alpha1",
        "GatewayInstance",
        "gatewayinstances",
    ),
    (
        "internal.sluice.dev",
        "v1alpha1",
        "AddressClaim",
        "addressclaims",
    ),
    ("coordination.k8s.io", "v1", "Lease", "leases"),
];

/// How long to wait before a broken watch is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// The API of a kind that [`KINDS`] names; `None` for another kind.
#[must_use]
pub fn resource(kind: &str) -> Option<ApiResource> {
    KINDS
        .iter()
        .find(|(_, _, k, _)| *k == kind)
        .map(|(group, version, kind, plural)| {
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
        })
}

/// The watches of all of [`KINDS`]; they end when this is dropped.
pub struct Watches {
    tasks: Vec<JoinHandle<()>>,
    open: Arc<AtomicUsize>,
}

impl Watches {
    /// Whether the API server shows changes of every kind at this moment.
    #[must_use]
    pub fn are_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) == self.tasks.len()
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Watches all of [`KINDS`]. Leases of nodes are left out: they are the cluster's own
/// heartbeat.
#[must_use]
pub fn start(client: &Client, history: &History) -> Watches {
    let open = Arc::new(AtomicUsize::new(0));
    let tasks = KINDS
        .iter()
        .filter_map(|(_, _, kind, _)| {
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind)?);
            let (kind, history) = ((*kind).to_owned(), history.clone());
            Some(tokio::spawn(follow(api, kind, history, open.clone())))
        })
        .collect();
    Watches { tasks, open }
}

/// Notes of the pods with a label that they end ([`Mark::Doom`], [`Mark::Fault`]), whoever
/// deleted them: a ReplicaSet that has one too many, or people.
pub async fn endings(client: Client, label: String, history: History) {
    let pods: Api<Pod> = Api::all(client);
    let config = watcher::Config::default().labels(&label);
    let mut events = pin!(watcher(pods, config).default_backoff());
    let mut ended = BTreeSet::new();
    while let Some(event) = events.next().await {
        let pod = match event {
            Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod))
                if pod.metadata.deletion_timestamp.is_some() =>
            {
                pod
            }
            Ok(watcher::Event::Delete(pod)) => pod,
            _ => continue,
        };
        let uid = pod.uid().unwrap_or_default();
        if ended.insert(uid.clone()) {
            history.mark(Mark::Doom { pod: uid });
            history.mark(Mark::Fault {
                harm: Harm::Traffic,
                text: format!("pod {} ends", pod.name_any()),
            });
        }
    }
}

async fn follow(api: Api<DynamicObject>, kind: String, history: History, open: Arc<AtomicUsize>) {
    let mut known: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut version: Option<String> = None;
    loop {
        let Ok(list) = api.list(&ListParams::default()).await else {
            sleep(PAUSE).await;
            continue;
        };
        adopt(&mut known, list.items, &kind, &history);
        let listed = list.metadata.resource_version.unwrap_or_default();
        let number = |version: &str| version.parse().unwrap_or_default();
        if let Some(seen) = version {
            history.add(What::Gap {
                kind: kind.clone(),
                from: number(&seen),
                to: number(&listed),
            });
        }
        let mut reached = listed;
        loop {
            let params = WatchParams::default().timeout(280);
            if let Ok(events) = api.watch(&params, &reached).await {
                open.fetch_add(1, Ordering::Relaxed);
                let goes_on = stream(events, &mut reached, &mut known, &kind, &history).await;
                open.fetch_sub(1, Ordering::Relaxed);
                if !goes_on {
                    break;
                }
            }
            sleep(PAUSE).await;
        }
        version = Some(reached);
    }
}

/// Follows one watch to its end; whether it can be gone on with from the version reached.
async fn stream(
    events: impl Stream<Item = kube::Result<WatchEvent<DynamicObject>>>,
    version: &mut String,
    known: &mut BTreeMap<(String, String), Value>,
    kind: &str,
    history: &History,
) -> bool {
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        let (object, gone) = match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => (object, false),
            Ok(WatchEvent::Deleted(object)) => (object, true),
            Ok(WatchEvent::Bookmark(mark)) => {
                *version = mark.metadata.resource_version;
                continue;
            }
            Ok(WatchEvent::Error(status)) if status.code == 410 => return false,
            Ok(WatchEvent::Error(_)) | Err(_) => break,
        };
        if let Some(newer) = object.resource_version() {
            *version = newer;
        }
        show(known, object, gone, kind, history);
    }
    true
}

fn adopt(
    known: &mut BTreeMap<(String, String), Value>,
    items: Vec<DynamicObject>,
    kind: &str,
    history: &History,
) {
    let mut gone = std::mem::take(known);
    for object in items {
        let key = (object.namespace().unwrap_or_default(), object.name_any());
        let before = gone.remove(&key);
        let same = before.as_ref().is_some_and(|old| {
            old.pointer("/metadata/resourceVersion")
                .and_then(Value::as_str)
                == object.resource_version().as_deref()
        });
        match before {
            Some(old) if same => drop(known.insert(key, old)),
            _ => show(known, object, false, kind, history),
        }
    }
    for object in gone.into_values() {
        history.add(What::Object {
            kind: kind.to_owned(),
            gone: true,
            object,
        });
    }
}

fn show(
    known: &mut BTreeMap<(String, String), Value>,
    mut object: DynamicObject,
    gone: bool,
    kind: &str,
    history: &History,
) {
    let key = (object.namespace().unwrap_or_default(), object.name_any());
    if kind == "Lease" && key.0 == "kube-node-lease" {
        return;
    }
    object.metadata.managed_fields = None;
    let Ok(object) = serde_json::to_value(&object) else {
        return;
    };
    if gone {
        known.remove(&key);
    } else {
        known.insert(key, object.clone());
    }
    history.add(What::Object {
        kind: kind.to_owned(),
        gone,
        object,
    });
}
