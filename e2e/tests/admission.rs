//! The table of what is admitted and what is refused (`crds/tests/manifests`)
//! against a real API server, in dry run with strict field validation; and the
//! definitions themselves: accepted without a warning, defaults served.
//!
//! The API server is that of `SLUICE_CLUSTER` (a kubeconfig), else of a lab of
//! its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "who refuses is judged locally")]
#[path = "../../crds/tests/table/mod.rs"]
mod table;

use std::path::PathBuf;
use std::process::Command;

use kube::api::{PostParams, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use sluice_e2e::paths::LabPaths;
use sluice_e2e::{Lab, UpOptions};
use table::{Case, cases, files};

/// The API server in use. The lab, if there is one, ends with the value.
struct Server {
    kubeconfig: PathBuf,
    _lab: Option<Lab>,
}

impl Server {
    fn new() -> Self {
        if let Some(kubeconfig) = std::env::var_os("SLUICE_CLUSTER").map(PathBuf::from) {
            println!("cluster: {}", kubeconfig.display());
            return Self {
                kubeconfig,
                _lab: None,
            };
        }
        let options = UpOptions {
            name: format!("admission{}", std::process::id()),
            nodes: 1,
            operator: false,
            tenants: false,
            ..UpOptions::default()
        };
        let lab = Lab::up(&options, &|text| println!("{text}")).unwrap();
        Self {
            kubeconfig: lab.paths().kubeconfig(),
            _lab: Some(lab),
        }
    }

    async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }

    fn kubectl(&self, args: &[&str]) -> std::process::Output {
        let any = LabPaths::new("admission").unwrap();
        Command::new(any.go_bin().join("controlplane"))
            .arg("kubectl")
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .unwrap()
    }

    /// Applies the definitions; nothing may be said about them.
    fn apply_definitions(&self) {
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            "deploy/crds",
        ];
        let output = self.kubectl(&apply);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("Warning"), "{said}");
        for table in files() {
            let group = group(&cases(&table)[0].object);
            let name = format!("crd/{table}.{group}");
            let wait = [
                "wait",
                "--for=condition=Established",
                "--timeout=60s",
                &name,
            ];
            let output = self.kubectl(&wait);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {said}");
        }
    }
}

fn group(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    version.split('/').next().unwrap().to_owned()
}

/// The path of a kind's objects.
fn path(plural: &str, object: &Value, namespace: &str) -> String {
    let group = group(object);
    if plural == "eippools" {
        format!("/apis/{group}/v1alpha1/{plural}")
    } else {
        format!("/apis/{group}/v1alpha1/namespaces/{namespace}/{plural}")
    }
}

/// Sends a create, or the replacement of `name`, with strict field validation.
async fn send(
    client: &Client,
    path: &str,
    name: Option<&str>,
    object: &Value,
    dry_run: bool,
) -> Result<Value, String> {
    let params = PostParams {
        dry_run,
        field_manager: None,
    };
    let body = serde_json::to_vec(object).unwrap();
    let request = Request::new(path);
    let mut request = match name {
        None => request.create(&params, body),
        Some(name) => request.replace(name, &params, body),
    }
    .unwrap();
    let uri = request.uri().to_string();
    let mark = if uri.contains('?') { '&' } else { '?' };
    *request.uri_mut() = format!("{uri}{mark}fieldValidation=Strict")
        .parse()
        .unwrap();
    match client.request::<Value>(request).await {
        Ok(object) => Ok(object),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => panic!("the API server does not answer: {error}"),
    }
}

/// Creates what the object was, with its status, and returns it as served.
async fn establish(client: &Client, path: &str, was: &Value) -> Result<Value, String> {
    let mut served = send(client, path, None, was, false).await?;
    if let Some(status) = was.get("status") {
        served["status"] = status.clone();
        let name = served["metadata"]["name"].as_str().unwrap();
        let path = format!("{path}/{name}");
        served = send(client, &path, Some("status"), &served, false).await?;
    }
    Ok(served)
}

/// What the API server makes of a case: its refusal, if any.
async fn submit(
    client: &Client,
    plural: &str,
    namespace: &str,
    number: usize,
    case: &Case,
) -> Result<Option<String>, String> {
    let path = path(plural, &case.object, namespace);
    let Some(was) = &case.was else {
        return Ok(send(client, &path, None, &case.object, true).await.err());
    };
    let name = format!("{namespace}-{number}");
    let mut was = was.clone();
    was["metadata"]["name"] = json!(name);
    let served = establish(client, &path, &was)
        .await
        .map_err(|error| format!("{}: the old object: {error}", case.title))?;
    let mut changed = case.object.clone();
    changed["metadata"] = served["metadata"].clone();
    let answer = send(client, &path, Some(&name), &changed, true).await.err();
    let delete = Request::new(&path)
        .delete(&name, &Default::default())
        .unwrap();
    client
        .request::<Value>(delete)
        .await
        .map_err(|error| format!("{}: {error}", case.title))?;
    Ok(answer)
}

fn judge(case: &Case, answer: Option<String>) -> Option<String> {
    match (case.refused.is_empty(), answer) {
        (true, None) => None,
        (true, Some(message)) => Some(format!("{}: refused: {message}", case.title)),
        (false, None) => Some(format!("{}: admitted", case.title)),
        (false, Some(message)) => {
            // Quotes in a value are escaped where the message quotes it.
            let plain = message.replace("\\\"", "\"");
            let missing = case.refused.iter().find(|part| !plain.contains(*part))?;
            Some(format!("{}: no {missing:?} in: {message}", case.title))
        }
    }
}

async fn judge_all(client: &Client, namespace: &str) -> Vec<String> {
    let (mut judged, mut wrong) = (0, Vec::new());
    for plural in files() {
        for (number, case) in cases(&plural).iter().enumerate() {
            judged += 1;
            match submit(client, &plural, namespace, number, case).await {
                Ok(answer) => wrong.extend(judge(case, answer)),
                Err(error) => wrong.push(error),
            }
        }
    }
    println!("{judged} judged, {} wrong", wrong.len());
    wrong
}

/// A fresh object is served with all conditions Unknown, before anybody looked.
async fn fresh_conditions(client: &Client, namespace: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for plural in ["natgateways", "eippools", "eips", "fips", "dnats", "snats"] {
        let mut object = cases(plural)[0].object.clone();
        let path = path(plural, &object, namespace);
        let name = format!("{namespace}-fresh");
        object["metadata"]["name"] = json!(name);
        send(client, &path, None, &object, false).await.unwrap();
        let get = Request::new(&path).get(&name, &Default::default()).unwrap();
        let served: Value = client.request(get).await.unwrap();
        let conditions = served["status"]["conditions"].as_array().cloned();
        let unknown = conditions
            .iter()
            .flatten()
            .filter(|condition| condition["status"] == "Unknown")
            .count();
        if unknown != 3 {
            wrong.push(format!("{plural}: born with {}", served["status"]));
        }
        let delete = Request::new(&path)
            .delete(&name, &Default::default())
            .unwrap();
        client.request::<Value>(delete).await.unwrap();
    }
    wrong
}

#[tokio::test]
async fn the_api_server_judges_every_object_as_the_table_says() {
    let server = Server::new();
    server.apply_definitions();
    let client = server.client().await;
    let namespace = format!("admission-{}", std::process::id());
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    send(&client, "/api/v1/namespaces", None, &object, false)
        .await
        .unwrap();
    let mut wrong = judge_all(&client, &namespace).await;
    wrong.extend(fresh_conditions(&client, &namespace).await);
    let delete = Request::new("/api/v1/namespaces")
        .delete(&namespace, &Default::default())
        .unwrap();
    client.request::<Value>(delete).await.unwrap();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
