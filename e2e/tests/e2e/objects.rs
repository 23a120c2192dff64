//! Objects by name: making, reading, changing and deleting them, and waiting
//! for their conditions.

use futures::future::join_all;
use kube::api::{
    Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, PropagationPolicy,
};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use sluice_e2e::evidence::watcher;

use crate::failure::{Failure, Outcome, wrong};
use crate::stage::{Stage, text};

/// The kinds that users apply, rules first: the order of an orderly deletion.
pub const USER_KINDS: [&str; 6] = ["FIP", "DNAT", "SNAT", "EIP", "NATGateway", "EIPPool"];

/// The API of a kind; in all namespaces when `namespace` is empty.
pub fn api(stage: &Stage, kind: &str, namespace: &str) -> Outcome<Api<DynamicObject>> {
    let plain = |group: &str, plural: &str| {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
    };
    let resource = match kind {
        "Namespace" => plain("", "namespaces"),
        "Node" => plain("", "nodes"),
        "Pod" => plain("", "pods"),
        "Secret" => plain("", "secrets"),
        "Deployment" => plain("apps", "deployments"),
        "NetworkAttachmentDefinition" => plain("k8s.cni.cncf.io", "network-attachment-definitions"),
        _ => watcher::resource(kind)
            .ok_or_else(|| Failure::Wrong(format!("{kind} is no kind of these scenarios")))?,
    };
    let client = stage.client.clone();
    Ok(if namespace.is_empty() {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, namespace, &resource)
    })
}

impl Stage {
    /// Creates an object; one that exists is an error.
    pub fn create(&self, object: &Value) -> Outcome<Value> {
        let (kind, namespace) = (text(object, "/kind"), text(object, "/metadata/namespace"));
        let api = api(self, &kind, &namespace)?;
        let typed: DynamicObject = serde_json::from_value(object.clone())?;
        let made = self.block(api.create(&PostParams::default(), &typed));
        let made = made.map_err(|error| {
            Failure::Wrong(format!(
                "create {kind} {namespace}/{}: {error}",
                text(object, "/metadata/name")
            ))
        })?;
        Ok(serde_json::to_value(made)?)
    }

    /// Creates many objects at once.
    pub fn create_all(&self, objects: &[Value]) -> Outcome {
        let mut calls = Vec::new();
        for object in objects {
            let api = api(
                self,
                &text(object, "/kind"),
                &text(object, "/metadata/namespace"),
            )?;
            let typed: DynamicObject = serde_json::from_value(object.clone())?;
            calls.push(async move { api.create(&PostParams::default(), &typed).await });
        }
        for made in self.block(join_all(calls)) {
            made?;
        }
        Ok(())
    }

    /// Deletes an object as a plain `kubectl delete --wait=false` does; one that
    /// is not there is no error.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Outcome {
        self.delete_all(&[(kind.into(), namespace.into(), name.into())])
    }

    /// Deletes many objects at once.
    pub fn delete_all(&self, objects: &[(String, String, String)]) -> Outcome {
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let mut calls = Vec::new();
        for (kind, namespace, name) in objects {
            let api = api(self, kind, namespace)?;
            let parameters = &parameters;
            calls.push(async move { api.delete(name, parameters).await });
        }
        for answer in self.block(join_all(calls)) {
            match answer {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Reads an object live.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Outcome<Option<Value>> {
        let api = api(self, kind, namespace)?;
        let found = self.block(api.get_opt(name))?;
        Ok(found.map(serde_json::to_value).transpose()?)
    }

    /// Lists a kind live, in all namespaces when `namespace` is empty.
    pub fn list(&self, kind: &str, namespace: &str, labels: &str) -> Outcome<Vec<Value>> {
        let api = api(self, kind, namespace)?;
        let list = self.block(api.list(&kube::api::ListParams::default().labels(labels)))?;
        Ok(list
            .items
            .into_iter()
            .map(serde_json::to_value)
            .collect::<Result<_, _>>()?)
    }

    /// Changes an object by a merge patch.
    pub fn patch(&self, kind: &str, namespace: &str, name: &str, patch: &Value) -> Outcome {
        let api = api(self, kind, namespace)?;
        self.block(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)))?;
        Ok(())
    }

    /// Makes a namespace for the scenario; the clean-up removes it.
    pub fn namespace(&self, name: &str) -> Outcome {
        let labels = json!({"e2e.sluice.dev/scenario": "true"});
        self.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}))?;
        Ok(())
    }

    /// Status and reason of a condition that speaks of the newest spec; empty
    /// texts when there is none yet.
    pub fn condition(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        which: &str,
    ) -> (String, String) {
        let none = || (String::new(), "absent".to_owned());
        let Some(object) = self.live(kind, namespace, name) else {
            return none();
        };
        let generation = object
            .pointer("/metadata/generation")
            .and_then(Value::as_i64);
        let all = object
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        all.iter()
            .find(|one| text(one, "/type") == which)
            .filter(|one| one.pointer("/observedGeneration").and_then(Value::as_i64) == generation)
            .map_or_else(none, |one| {
                (
                    text(one, "/status"),
                    format!("{}: {}", text(one, "/reason"), text(one, "/message")),
                )
            })
    }

    /// Waits until a condition has that status (and its reason begins so).
    pub fn wait_condition(
        &self,
        (kind, namespace, name): (&str, &str, &str),
        which: &str,
        want: (&str, &str),
        secs: f64,
    ) -> Outcome {
        let what = format!("{which}={} {} of {kind} {namespace}/{name}", want.0, want.1);
        self.wait_for(&what, secs, || {
            let (status, reason) = self.condition(kind, namespace, name, which);
            let right = status == want.0 && reason.starts_with(want.1);
            if right {
                Ok(())
            } else {
                Err(format!("{which} is {status:?} ({reason})"))
            }
        })
    }

    /// Waits until all these objects are Ready.
    pub fn wait_ready(&self, objects: &[(&str, &str, &str)], secs: f64) -> Outcome {
        self.wait_for("readiness", secs, || {
            let objects = objects.iter().copied();
            self.all_ready(objects)
        })
    }

    /// Waits until every EIP, FIP, DNAT, SNAT and gateway that is there is Ready.
    /// What goes while this waits need not be.
    pub fn wait_all_ready(&self, secs: f64) -> Outcome {
        self.wait_for("readiness", secs, || {
            for kind in ["NATGateway", "EIP", "FIP", "DNAT", "SNAT"] {
                let live = self.history.live_of(kind);
                let named: Vec<_> = live
                    .iter()
                    .map(|one| {
                        (
                            text(one, "/metadata/namespace"),
                            text(one, "/metadata/name"),
                        )
                    })
                    .collect();
                let named = named
                    .iter()
                    .map(|(ns, name)| (kind, ns.as_str(), name.as_str()));
                self.all_ready(named)?;
            }
            Ok(())
        })
    }

    /// Whether these objects are Ready now; else the first that is not.
    fn all_ready<'a>(
        &self,
        objects: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Result<(), String> {
        let mut not = objects.filter_map(|(kind, namespace, name)| {
            let (status, reason) = self.condition(kind, namespace, name, "Ready");
            (status != "True")
                .then(|| format!("{kind} {namespace}/{name} is {status:?} ({reason})"))
        });
        match not.next() {
            None => Ok(()),
            Some(first) => Err(format!("{first}, and {} more", not.count())),
        }
    }

    /// Waits until an object is gone.
    pub fn wait_gone(&self, kind: &str, namespace: &str, name: &str, secs: f64) -> Outcome {
        self.wait_for(
            &format!("the end of {kind} {namespace}/{name}"),
            secs,
            || match self.live(kind, namespace, name) {
                None => Ok(()),
                Some(object) => Err(format!(
                    "finalizers {}, Ready {:?}",
                    object
                        .pointer("/metadata/finalizers")
                        .cloned()
                        .unwrap_or_default(),
                    self.condition(kind, namespace, name, "Ready"),
                )),
            },
        )
    }

    /// Waits until the watch has shown an object.
    pub fn wait_seen(&self, kind: &str, namespace: &str, name: &str) -> Outcome {
        self.wait(&format!("sight of {kind} {namespace}/{name}"), 5.0, || {
            self.live(kind, namespace, name).is_some()
        })
    }

    /// Runs our kubectl, with `input` on its standard input; fails with its words.
    pub fn kubectl(&self, arguments: &[&str], input: Option<&str>) -> Outcome<String> {
        let mut command = self.lab.kubectl();
        command.args(arguments);
        let done = match input {
            Some(input) => sluice_e2e::command::run_with_input(&mut command, input),
            None => sluice_e2e::command::run(&mut command),
        };
        done.or_else(|error| wrong(error.one_line()))
    }
}
