//! The table of what is admitted and what is refused (`crds/tests/manifests`)
//! against a real API server, in dry run with strict field validation; and the
//! definitions themselves: accepted without a warning, defaults served.
//!
//! The API server is that of `SLUICE_CLUSTER` (a kubeconfig), else of a lab of
//! its own. A cluster that was named gets the definitions and a namespace for
//! the time of the test, and is refused when it has definitions of ours already:
//! removing those would remove every object of theirs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "who refuses is judged locally")]
#[path = "../../crds/tests/table/mod.rs"]
mod table;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use kube::api::{PostParams, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use sluice_e2e::given::Given;
use sluice_e2e::paths::LabPaths;
use sluice_e2e::programs::Found;
use sluice_e2e::{Lab, UpOptions};
use table::{Case, cases, files};

/// The repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The API server in use. What was made there, or all of the lab, ends with the
/// value.
struct Server {
    kubeconfig: PathBuf,
    namespace: String,
    programs: Found,
    lab: Option<Lab>,
}

impl Server {
    fn new() -> Self {
        let namespace = format!("admission-{}", std::process::id());
        let programs = Found::here();
        if let Some(cluster) = Given::here().unwrap() {
            println!("cluster: {cluster}");
            let kubeconfig = cluster.kubeconfig().to_path_buf();
            let present = kubectl(&programs, &kubeconfig, &["get", "crd", "-o", "name"], "");
            let said = String::from_utf8_lossy(&present.stderr).into_owned();
            assert!(present.status.success(), "{cluster}: {said}");
            let names = String::from_utf8(present.stdout).unwrap();
            let ours = names.lines().filter(|name| name.ends_with(".sluice.dev"));
            assert_eq!(
                ours.count(),
                0,
                "definitions of ours on {cluster} already: name a cluster without them, or remove \
                 them, and all objects of theirs, by `kubectl delete -f deploy/crds`"
            );
            return Self {
                kubeconfig,
                namespace,
                programs,
                lab: None,
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
            namespace,
            programs,
            lab: Some(lab),
        }
    }

    async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }

    /// Runs kubectl, which must succeed, and returns what it said besides.
    fn demand(&self, args: &[&str], input: &str) -> String {
        let output = kubectl(&self.programs, &self.kubeconfig, args, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        said
    }

    fn apply_definitions(&self) {
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            "deploy/crds",
        ];
        self.demand(&apply, "");
        for table in files() {
            let name = format!("crd/{table}.{}", group(&cases(&table)[0].object));
            let wait = [
                "wait",
                "--for=condition=Established",
                "--timeout=60s",
                &name,
            ];
            self.demand(&wait, "");
        }
    }

    /// The API server speaks of a definition only when it is new, so each is
    /// created, in dry run, in a group that is not there.
    fn expect_no_warning(&self) {
        let mut seen = 0;
        for entry in std::fs::read_dir(format!("{ROOT}/deploy/crds")).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let new = text.replace("sluice.dev", "sluice.example");
            let create = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
            let said = self.demand(&create, &new);
            assert!(!said.contains("Warning"), "{}: {said}", path.display());
            seen += 1;
        }
        assert!(seen > 0);
        // That a warning would be seen.
        let odd = std::fs::read_to_string(format!("{ROOT}/deploy/crds/eips.sluice.dev.yaml"))
            .unwrap()
            .replace("sluice.dev", "sluice.example")
            .replace("format: int64", "format: uint64");
        let said = self.demand(&["create", "--dry-run=server", "-f", "-"], &odd);
        assert!(said.contains("Warning: unrecognized format"), "{said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.lab.is_some() {
            return;
        }
        let namespace = ["delete", "namespace", &self.namespace, "--ignore-not-found"];
        let definitions = ["delete", "-f", "deploy/crds", "--ignore-not-found"];
        for args in [&namespace[..], &definitions] {
            let output = kubectl(&self.programs, &self.kubeconfig, args, "");
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                eprintln!("remove this by hand: kubectl {args:?}: {said}");
            }
        }
    }
}

fn kubectl(programs: &Found, kubeconfig: &Path, args: &[&str], input: &str) -> Output {
    let any = LabPaths::new("admission").unwrap();
    let mut child = programs
        .kubectl(&any)
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .current_dir(ROOT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn group(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    version.split('/').next().unwrap().to_owned()
}

/// The path of a kind's objects.
fn path(plural: &str, object: &Value, namespace: &str) -> String {
    let group = group(object);
    if ["eippools", "addressclaims"].contains(&plural) {
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

#[test]
fn the_api_server_judges_every_object_as_the_table_says() {
    // The lab brings a runtime of its own, so it starts outside of this one.
    let server = Server::new();
    server.expect_no_warning();
    server.apply_definitions();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(judge_table(&server));
}

async fn judge_table(server: &Server) {
    let client = server.client().await;
    let namespace = server.namespace.clone();
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
