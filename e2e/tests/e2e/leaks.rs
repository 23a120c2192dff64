//! Ways by which packets could leave untranslated. The look-out runs during
//! every scenario; here the known ways are tried on purpose.

use std::net::{Ipv6Addr, SocketAddrV6};

use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket, sockopt};
use sluice_e2e::evidence::Harm;
use sluice_e2e::{Host, LabError};

use crate::address::{OUTSIDE, TENANTS};
use crate::failure::{Outcome, demand};
use crate::gateway::{NS, eip, fip, snat};
use crate::runner::Scenario;
use crate::stage::Stage;
use crate::traffic::{outside, tenant};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "nothing_leaves_untranslated_when_the_uplink_is_down",
        secs: 90,
        full: false,
        run: uplink_down,
    },
    Scenario {
        name: "nothing_leaves_untranslated_before_and_after_the_gateways_rules",
        secs: 90,
        full: false,
        run: before_and_after,
    },
    Scenario {
        name: "neighbour_discovery_to_global_addresses_does_not_leave",
        secs: 60,
        full: false,
        run: discovery,
    },
    Scenario {
        name: "a_tenants_router_advertisement_is_not_believed",
        secs: 60,
        full: false,
        run: advertisement,
    },
    Scenario {
        name: "an_outside_host_that_routes_inside_prefixes_to_an_eip_reaches_nobody",
        secs: 60,
        full: false,
        run: routed_from_outside,
    },
];

/// A gateway with a FIP for `web` and a SNAT for all tenants.
fn prepare(stage: &mut Stage) -> Outcome {
    stage.with_gateway()?;
    stage.create_all(&[
        eip(NS, "web"),
        eip(NS, "egress"),
        fip(NS, "web", "web", TENANTS[0].1),
        snat(
            NS,
            "egress",
            "egress",
            &["10.244.0.0/24", "fd00:10:244::/64"],
        ),
    ])?;
    stage.wait_seen("SNAT", NS, "egress")?;
    stage.wait_seen("FIP", NS, "web")?;
    stage.wait_all_ready(20.0)
}

/// Tenants ask outside addresses, whether answered or not.
fn tenants_ask(stage: &Stage, rounds: usize) {
    for _ in 0..rounds {
        for name in ["web", "client-a", "client-b"] {
            for address in [OUTSIDE.0, OUTSIDE.1] {
                let to = if address.contains(':') {
                    format!("[{address}]:5353")
                } else {
                    format!("{address}:5353")
                };
                let echo = stage.echo();
                let argv = [
                    echo.to_str().unwrap_or_default(),
                    "--udp",
                    &to,
                    "--count",
                    "5",
                    "--interval-ms",
                    "10",
                    "--timeout-ms",
                    "20",
                ];
                // Only what leaves counts here, not what comes back.
                let _ = stage.lab.exec(&tenant(name), &argv);
            }
        }
    }
}

fn uplink_down(stage: &mut Stage) -> Outcome {
    prepare(stage)?;
    stage.expect_http(
        &tenant("client-a"),
        OUTSIDE.0,
        80,
        "client",
        &stage.addresses(NS, "egress")?[0],
    )?;
    let host = stage.gateway_host()?;
    stage.fault(Harm::Traffic, "the uplink goes down");
    stage
        .lab
        .exec(&host, &["ip", "link", "set", "eth1", "down"])?;
    stage.wait_for("a Ready that is not True", 10.0, || {
        let (status, why) = stage.condition("EIP", NS, "web", "Ready");
        if status == "True" { Err(why) } else { Ok(()) }
    })?;
    tenants_ask(stage, 2);
    stage
        .lab
        .exec(&host, &["ip", "link", "set", "eth1", "up"])?;
    stage.wait_all_ready(15.0)?;
    let own = stage.addresses(NS, "egress")?;
    for (egress, client) in own.into_iter().zip([OUTSIDE.0, OUTSIDE.1]) {
        stage.expect_http(&tenant("client-a"), client, 80, "client", &egress)?;
    }
    stage.probe("EIP", NS, "web")?;
    stage.probes_pass(5.0)
}

/// Tenants send all the time while the gateway's pod starts, serves, is
/// replaced and ends.
fn before_and_after(stage: &mut Stage) -> Outcome {
    let stop = std::sync::atomic::AtomicBool::new(false);
    let echo = stage.echo();
    let hosts = ["web", "client-a", "client-b"].map(tenant);
    let spaces: Vec<_> = hosts
        .iter()
        .map(|host| stage.lab.netns(host))
        .collect::<Result<_, _>>()?;
    std::thread::scope(|scope| {
        for space in &spaces {
            let (stop, echo) = (&stop, &echo);
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    for to in [
                        format!("{}:5353", OUTSIDE.0),
                        format!("[{}]:5353", OUTSIDE.1),
                    ] {
                        let _ = sluice_e2e::netns::within(space, || {
                            let mut command = std::process::Command::new(echo);
                            command.args([
                                "--udp",
                                &to,
                                "--count",
                                "20",
                                "--interval-ms",
                                "10",
                                "--timeout-ms",
                                "10",
                            ]);
                            command
                                .stdout(std::process::Stdio::null())
                                .stderr(std::process::Stdio::null());
                            command.status().map_err(|source| LabError::Io {
                                action: "run the echo client".into(),
                                source,
                            })
                        });
                    }
                }
            });
        }
        let mut steps = || -> Outcome {
            prepare(stage)?;
            let (pod, _) = stage.gateway_pod()?;
            let before = stage.holder();
            stage.fault(Harm::Holder, "the pod is deleted");
            stage.delete("Pod", "net", &pod)?;
            stage.wait_recovered(&before, 40.0)?;
            stage.delete_all(&[
                ("SNAT".into(), NS.into(), "egress".into()),
                ("FIP".into(), NS.into(), "web".into()),
                ("EIP".into(), NS.into(), "web".into()),
                ("EIP".into(), NS.into(), "egress".into()),
            ])?;
            stage.wait_gone("EIP", NS, "egress", 20.0)?;
            stage.pause(0.5);
            stage.delete("NATGateway", "net", "egress")?;
            stage.wait_gone("NATGateway", "net", "egress", 30.0)
        };
        let done = steps();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        done
    })
}

/// Router solicitation, router advertisement, neighbour solicitation and
/// advertisement, redirect, and multicast listener reports: conntrack does not
/// track them, so only a rule for untracked packets stops them.
fn discovery(stage: &mut Stage) -> Outcome {
    prepare(stage)?;
    for name in ["web", "client-a"] {
        for kind in [133_u8, 134, 135, 136, 137, 130, 131, 132, 143] {
            send_icmpv6(stage, &tenant(name), OUTSIDE.1, 0, kind, 255)?;
            send_icmpv6(stage, &tenant(name), OUTSIDE.1, 0, kind, 64)?;
        }
    }
    stage.pause(0.5);
    let egress = stage.addresses(NS, "egress")?[1].clone();
    stage.expect_http(&tenant("client-a"), OUTSIDE.1, 80, "client", &egress)
}

fn advertisement(stage: &mut Stage) -> Outcome {
    prepare(stage)?;
    let host = stage.gateway_host()?;
    let routes = |stage: &Stage| -> Outcome<String> {
        let output = stage.lab.exec(
            &host,
            &[
                "sh",
                "-c",
                "ip -6 route show default; ip -6 addr show dev lan0 | grep inet6 | grep -v link",
            ],
        )?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let before = routes(stage)?;
    let index = stage
        .lab
        .exec(&tenant("client-a"), &["cat", "/proc/net/if_inet6"])?;
    let text = String::from_utf8_lossy(&index.stdout).into_owned();
    let lan = text
        .lines()
        .find(|line| line.ends_with("lan0"))
        .and_then(|line| line.split_whitespace().nth(1));
    let scope = lan
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .unwrap_or(0);
    demand(scope != 0, || format!("client-a has no lan0: {text}"))?;
    for _ in 0..3 {
        send_icmpv6(stage, &tenant("client-a"), "ff02::1", scope, 134, 255)?;
        stage.pause(0.2);
    }
    let after = routes(stage)?;
    demand(before == after, || {
        format!("routes before: {before}\nroutes after: {after}")
    })?;
    stage.probe("EIP", NS, "web")?;
    stage.probes_pass(5.0)
}

fn routed_from_outside(stage: &mut Stage) -> Outcome {
    prepare(stage)?;
    let [four, six] = stage.addresses(NS, "web")?;
    let client = outside("client");
    let add = format!(
        "ip route add 10.244.0.0/16 via {four}; ip -6 route add fd00:10:244::/64 via {six}"
    );
    let output = stage.lab.exec(&client, &["sh", "-c", &add])?;
    let added = demand(output.status.success(), || {
        String::from_utf8_lossy(&output.stderr).into_owned()
    });
    let tried = added.and_then(|()| {
        for (_, (v4, v6)) in TENANTS {
            for address in [v4, v6, "10.244.0.254", "fd00:10:244::fe"] {
                stage.expect_no_http(&client, address, 80)?;
            }
        }
        Ok(())
    });
    stage.lab.exec(
        &client,
        &[
            "sh",
            "-c",
            "ip route del 10.244.0.0/16; ip -6 route del fd00:10:244::/64",
        ],
    )?;
    tried?;
    stage.expect_http(&client, &four, 80, "web", OUTSIDE.0)
}

/// Sends one ICMPv6 message of that type, 24 bytes of body after its header,
/// with the hop limit given. An advertisement is one of a default router.
fn send_icmpv6(stage: &Stage, host: &Host, to: &str, scope: u32, kind: u8, hops: u8) -> Outcome {
    let to: Ipv6Addr = to
        .parse()
        .map_err(|_| crate::failure::Failure::Wrong(format!("{to} is no address")))?;
    let mut message = vec![kind, 0, 0, 0];
    if kind == 134 {
        // Current hop limit 64, no flags, router lifetime 1800 s, no timers.
        message.extend([64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0]);
    } else {
        message.extend([0; 4]);
        message.extend(to.octets());
    }
    let failed = |action: &str, errno: rustix::io::Errno| LabError::Io {
        action: action.into(),
        source: errno.into(),
    };
    stage.lab.within(host, || {
        let fd = socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6))
            .map_err(|e| failed("open a raw socket", e))?;
        sockopt::set_ipv6_unicast_hops(&fd, Some(hops))
            .map_err(|e| failed("set the hop limit", e))?;
        sockopt::set_ipv6_multicast_hops(&fd, u32::from(hops))
            .map_err(|e| failed("set the hop limit", e))?;
        sendto(
            &fd,
            &message,
            SendFlags::empty(),
            &SocketAddrV6::new(to, 0, 0, scope),
        )
        .map_err(|e| failed("send a message", e))?;
        Ok(())
    })?;
    Ok(())
}
