//! The operator is killed between any two of its writes.
//!
//! The lab's own operator is stopped; the very same program runs beside the
//! control plane instead, behind a proxy that counts its writes and kills it
//! at one of them. Nothing in the program knows of this.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use sluice_e2e::evidence::Mark;
use sluice_e2e::{Host, LabError, image};

use crate::failure::{Failure, Outcome, wrong};
use crate::gateway::{GATEWAY, NS, dnat, eip, fip, gateway, pool, snat, tenant};
use crate::operator::NAMESPACE;
use crate::proxy::{self, Count};
use crate::runner::Scenario;
use crate::stage::{Stage, text};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "an_operator_killed_at_any_write_leaves_all_in_order",
    secs: 1500,
    full: false,
    run: any_write,
}];

/// Kills in the short form and in the long one.
const KILLS: (u64, u64) = (20, 200);

fn any_write(stage: &mut Stage) -> Outcome {
    let operator = Beside::new(stage)?;
    let result = rounds(stage, &operator);
    stage.history.mark(Mark::OperatorOut);
    stage.kubectl(
        &[
            "-n",
            NAMESPACE,
            "scale",
            "deployment",
            "--all",
            "--replicas=1",
        ],
        None,
    )?;
    if result.is_err() {
        // What it said is beside the record; the clean-up needs an operator.
        stage.kubectl(
            &[
                "-n",
                NAMESPACE,
                "wait",
                "deployment",
                "--all",
                "--for=condition=Available",
                "--timeout=30s",
            ],
            None,
        )?;
    }
    result
}

fn rounds(stage: &mut Stage, operator: &Beside) -> Outcome {
    let kills = if stage.full { KILLS.1 } else { KILLS.0 };
    // It stays: a pool that is gone cannot say how long its addresses rest.
    stage.create(&pool("external"))?;
    let (mut killed, mut round) = (0, 0);
    // The number of the fatal write in each step of this time around, and
    // whether any step had that many.
    let (mut number, mut any_hit) = (0, true);
    while killed < kills {
        if round > 3 * kills {
            return wrong(format!("only {killed} kills in {round} rounds"));
        }
        // Four steps: a gateway with objects, objects away, objects, all away.
        let step = round % 4;
        if step == 0 {
            // Beyond the last write of the longest step it begins anew.
            number = if any_hit { number + 1 } else { 1 };
            any_hit = false;
        }
        let spread = u64::try_from(stage.below(8)).unwrap_or(0);
        let at = if stage.full {
            number
        } else {
            1 + (number - 1) * 8 + spread
        };
        let after = stage.random().is_multiple_of(2);
        let mut process = operator.start(stage, at, after)?;
        change(stage, step)?;
        let watched = stage.wait("the fatal write, or the end of all", 6.0, || {
            operator.count.killed.load(Ordering::SeqCst) || settled(stage, step)
        });
        let hit = operator.count.killed.load(Ordering::SeqCst);
        // A write that never comes leaves the operator running.
        let _ = process.kill();
        let _ = process.wait();
        stage.history.mark(Mark::OperatorOut);
        if hit {
            killed += 1;
            any_hit = true;
            let fatal = operator
                .count
                .fatal
                .lock()
                .map(|text| text.clone())
                .unwrap_or_default();
            stage.note(format!("kill {killed} in step {step}: {fatal}"));
        } else {
            watched?;
        }
        let mut process = operator.start(stage, 0, false)?;
        stage.wait("the next operator's first write", 20.0, || {
            operator.count.writes.load(Ordering::SeqCst) > 0
        })?;
        stage.history.mark(Mark::OperatorBack);
        let done = check(stage, step);
        let _ = process.kill();
        let _ = process.wait();
        done.map_err(|failure| {
            let fatal = operator
                .count
                .fatal
                .lock()
                .map(|text| text.clone())
                .unwrap_or_default();
            Failure::Wrong(format!("step {step}, killed {fatal}: {failure}"))
        })?;
        round += 1;
    }
    stage.tell(format!("{killed} kills in {round} rounds"));
    Ok(())
}

fn objects() -> Vec<Value> {
    let mut all: Vec<Value> = (0..4).map(|n| eip(NS, &format!("e-{n}"))).collect();
    all.push(fip(NS, "f-0", "e-0", tenant(0).1));
    all.push(fip(NS, "f-1", "e-1", tenant(1).1));
    all.push(dnat(
        NS,
        "d",
        "e-2",
        json!("8000-8009"),
        tenant(2).1,
        json!("9000-9009"),
    ));
    all.push(snat(NS, "s", "e-3", &["10.244.0.0/24", "fd00:10:244::/64"]));
    all
}

fn change(stage: &mut Stage, step: u64) -> Outcome {
    if step == 0 {
        stage.create(&gateway(GATEWAY.0, GATEWAY.1, "external"))?;
    }
    if step.is_multiple_of(2) {
        return stage.create_all(&objects());
    }
    stage.prober.clear();
    stage.retire(&["EIP/*".into(), "FIP/*".into()]);
    let mut names: Vec<_> = objects()
        .iter()
        .map(|o| {
            (
                text(o, "/kind"),
                text(o, "/metadata/namespace"),
                text(o, "/metadata/name"),
            )
        })
        .collect();
    if step == 3 {
        names.push(("NATGateway".into(), GATEWAY.0.into(), GATEWAY.1.into()));
    }
    stage.shuffle(&mut names);
    stage.delete_all(&names)
}

/// Whether the step is over without a kill: what the watch shows is enough.
fn settled(stage: &Stage, step: u64) -> bool {
    if step.is_multiple_of(2) {
        stage.history.live_of("SNAT").len() == 1 && stage.wait_all_ready(0.0).is_ok()
    } else {
        nothing_left(stage, step).is_ok()
    }
}

fn nothing_left(stage: &Stage, step: u64) -> Result<(), String> {
    let mut kinds = vec!["EIP", "FIP", "DNAT", "SNAT"];
    if step == 3 {
        kinds.extend([
            "NATGateway",
            "AddressClaim",
            "GatewayConfig",
            "RuleSlice",
            "GatewayInstance",
        ]);
    }
    let left: Vec<String> = kinds
        .iter()
        .flat_map(|kind| {
            stage
                .history
                .live_of(kind)
                .into_iter()
                .map(move |o| format!("{kind} {}", text(&o, "/metadata/name")))
        })
        .collect();
    if left.is_empty() {
        Ok(())
    } else {
        Err(left.join(", "))
    }
}

fn check(stage: &mut Stage, step: u64) -> Outcome {
    if step % 2 == 1 {
        return stage.wait_for("that nothing is left", 30.0, || nothing_left(stage, step));
    }
    stage.wait("sight of all objects", 5.0, || {
        stage.history.live_of("SNAT").len() == 1
    })?;
    stage.wait_all_ready(40.0)?;
    for n in 0..4 {
        stage.probe("EIP", NS, &format!("e-{n}"))?;
    }
    stage.probe("FIP", NS, "f-0")?;
    stage.probe("FIP", NS, "f-1")?;
    stage.probes_pass(5.0)
}

/// An operator beside the control plane, behind the counting proxy.
struct Beside {
    count: Arc<Count>,
    port: u16,
}

impl Beside {
    fn new(stage: &Stage) -> Outcome<Self> {
        stage.history.mark(Mark::OperatorOut);
        stage.kubectl(
            &[
                "-n",
                NAMESPACE,
                "scale",
                "deployment",
                "--all",
                "--replicas=0",
            ],
            None,
        )?;
        stage.kubectl(
            &[
                "-n",
                NAMESPACE,
                "wait",
                "--for=delete",
                "pod",
                "--all",
                "--timeout=60s",
            ],
            None,
        )?;
        // Nobody leads any more; the next one need not wait for it.
        stage.kubectl(&["-n", NAMESPACE, "delete", "lease", "--all"], None)?;
        let client = stage.block(operators_client(stage))?;
        let listener = stage.lab.within(&Host::Fixed("cp".into()), || {
            TcpListener::bind("127.0.0.1:0").map_err(|source| LabError::Io {
                action: "listen in the lab".into(),
                source,
            })
        })?;
        let port = listener.local_addr()?.port();
        let count = proxy::start(stage.runtime(), listener, client)?;
        Ok(Self { count, port })
    }

    /// Starts the operator; it dies at its write number `at`.
    fn start(&self, stage: &Stage, at: u64, after: bool) -> Outcome<Child> {
        let kubeconfig = stage.dir().join("operator.kubeconfig");
        let server = format!("http://127.0.0.1:{}", self.port);
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": server}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "users": [{"name": "proxy", "user": {}}],
        });
        stage.write("operator.kubeconfig", content.to_string().as_bytes());
        let log = File::options()
            .create(true)
            .append(true)
            .open(stage.dir().join("operator-beside.log"))?;
        let program = image::binary_dir(stage.lab.paths())?.join("sluice-operator");
        let deployment = stage
            .get("Deployment", NAMESPACE, "sluice-operator")?
            .unwrap_or_default();
        let arguments: Vec<String> = deployment
            .pointer("/spec/template/spec/containers/0/args")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|argument| argument.as_str().map(str::to_owned))
            .collect();
        let environment = deployment
            .pointer("/spec/template/spec/containers/0/env")
            .and_then(Value::as_array)
            .cloned();
        // The write counter starts before the process, so that none is missed.
        self.count.arm(0, 0, false);
        let child = stage.lab.within(&Host::Fixed("cp".into()), || {
            let mut command = Command::new(&program);
            for variable in environment.iter().flatten() {
                if let (Some(name), Some(value)) =
                    (variable.pointer("/name"), variable.pointer("/value"))
                {
                    command.env(
                        name.as_str().unwrap_or_default(),
                        value.as_str().unwrap_or_default(),
                    );
                }
            }
            command
                .args(&arguments)
                .env("KUBECONFIG", &kubeconfig)
                .env("POD_NAMESPACE", NAMESPACE)
                // One identity for all lives, as the containers of one pod have.
                .env("POD_NAME", "operator-beside")
                .env("POD_UID", "00000000-0000-4000-8000-000000000001")
                .stdin(Stdio::null())
                .stdout(
                    log.try_clone()
                        .map(Stdio::from)
                        .unwrap_or_else(|_| Stdio::null()),
                )
                .stderr(Stdio::from(log))
                .spawn()
                .map_err(|source| LabError::Io {
                    action: format!("start {}", program.display()),
                    source,
                })
        })?;
        self.count.arm(child.id(), at, after);
        Ok(child)
    }
}

/// A client with the rights of the operator's own service account.
async fn operators_client(stage: &Stage) -> Outcome<Client> {
    use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
    use k8s_openapi::api::core::v1::ServiceAccount;
    let accounts: kube::Api<ServiceAccount> =
        kube::Api::namespaced(stage.client.clone(), NAMESPACE);
    let spec = TokenRequestSpec {
        expiration_seconds: Some(7200),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest {
        spec,
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request(
            "sluice-operator",
            &kube::api::PostParams::default(),
            &request,
        )
        .await?;
    let token = answer.status.map(|status| status.token).unwrap_or_default();
    let file = stage.lab.paths().kubeconfig();
    let odd =
        |error: &dyn std::fmt::Display| Failure::Wrong(format!("{}: {error}", file.display()));
    let kubeconfig = Kubeconfig::read_from(&file).map_err(|error| odd(&error))?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| odd(&error))?;
    config.auth_info = AuthInfo {
        token: Some(token.into()),
        ..AuthInfo::default()
    };
    config.read_timeout = None;
    Ok(Client::try_from(config)?)
}
