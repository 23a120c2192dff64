//! `bundle`: what a person needs to help from afar, in one folder. Secrets and
//! ConfigMaps are never read, and values of environment variables are left out.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::fetch::{Access, FetchError};
use crate::output::Style;
use crate::overview::overview;
use crate::world::OPERATOR;

/// Lines of each log.
const LINES: usize = 5_000;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The cluster could not be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file could not be written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
}

/// What is read: path, and the label that selects what is ours.
const LISTS: [(&str, &str); 18] = [
    ("apis/sluice.dev/v1alpha1/natgateways", ""),
    ("apis/sluice.dev/v1alpha1/eippools", ""),
    ("apis/sluice.dev/v1alpha1/eips", ""),
    ("apis/sluice.dev/v1alpha1/fips", ""),
    ("apis/sluice.dev/v1alpha1/dnats", ""),
    ("apis/sluice.dev/v1alpha1/snats", ""),
    ("apis/internal.sluice.dev/v1alpha1/gatewayconfigs", ""),
    ("apis/internal.sluice.dev/v1alpha1/ruleslices", ""),
    ("apis/internal.sluice.dev/v1alpha1/gatewayinstances", ""),
    ("apis/internal.sluice.dev/v1alpha1/addressclaims", ""),
    ("apis/coordination.k8s.io/v1/leases", "sluice.dev%2Fgateway"),
    ("api/v1/pods", "sluice.dev%2Fgateway"),
    ("apis/apps/v1/deployments", "sluice.dev%2Fgateway"),
    ("apis/apps/v1/replicasets", "sluice.dev%2Fgateway"),
    ("apis/k8s.cni.cncf.io/v1/network-attachment-definitions", ""),
    ("api/v1/nodes", ""),
    ("apis/apiextensions.k8s.io/v1/customresourcedefinitions", ""),
    (
        "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        "app.kubernetes.io%2Fpart-of%3Dsluice",
    ),
];

/// Writes it; what may not be read is left out and named in `left-out.txt`.
///
/// # Errors
/// [`BundleError`].
pub async fn write(access: &Access, folder: &Path) -> Result<(), BundleError> {
    fs::create_dir_all(folder).map_err(|error| BundleError::File(folder.to_owned(), error))?;
    let mut left_out = Vec::new();
    for (path, labels) in LISTS {
        let name = path.rsplit('/').next().unwrap_or(path);
        match access.list(&format!("/{path}"), labels).await? {
            Some(mut items) => {
                items.retain(|item| {
                    let name = item.pointer("/metadata/name").and_then(Value::as_str);
                    !path.ends_with("customresourcedefinitions")
                        || name.is_some_and(|n| n.ends_with("sluice.dev"))
                });
                items.iter_mut().for_each(clean);
                save(
                    folder,
                    &format!("{name}.json"),
                    &pretty(&json!({"items": items})),
                )?;
            }
            None => left_out.push(name.to_owned()),
        }
    }
    let own = format!("/api/v1/namespaces/{}/pods", access.operator_namespace);
    let operators = access
        .list(&own, &format!("app.kubernetes.io%2Fname%3D{OPERATOR}"))
        .await?;
    let gateways = access.list("/api/v1/pods", "sluice.dev%2Fgateway").await?;
    let mut pods: Vec<Value> = operators.into_iter().chain(gateways).flatten().collect();
    for pod in &mut pods {
        clean(pod);
        let text = |path: &str| {
            pod.pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let log = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?tailLines={LINES}");
        for (query, ending) in [("", "log"), ("&previous=true", "previous.log")] {
            if let Some(text) = access.text(&format!("{log}{query}")).await {
                save(folder, &format!("{namespace}.{name}.{ending}"), &text)?;
            }
        }
    }
    save(folder, "pods-of-all.json", &pretty(&json!({"items": pods})))?;
    let plain = Style {
        format: crate::options::Format::Wide,
        colour: false,
    };
    save(
        folder,
        "status.txt",
        &overview(&access.world().await?).text(plain),
    )?;
    save(folder, "left-out.txt", &left_out.join("\n"))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn save(folder: &Path, name: &str, text: &str) -> Result<(), BundleError> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| BundleError::File(path, error))
}

/// Takes out of an object what helps nobody, and what may be secret: managed fields,
/// what was last applied, and values of environment variables.
fn clean(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    hide(object);
}

fn hide(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            if let Some(Value::Array(list)) = fields.get_mut("env") {
                for variable in list.iter_mut().filter_map(Value::as_object_mut) {
                    if let Some(value) = variable.get_mut("value") {
                        *value = json!("(left out)");
                    }
                }
            }
            fields.values_mut().for_each(hide);
        }
        Value::Array(list) => list.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
