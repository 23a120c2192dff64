//! The means of proof themselves: what they must see they see. Without this a
//! blind look-out or a prober that asks nobody would let everything pass.

use std::time::Duration;

use sluice_e2e::evidence::What;
use sluice_e2e::evidence::prober::{Method, Target};
use sluice_e2e::families::{FAR_CLIENT, ROUTER};

use crate::failure::{Failure, Outcome, demand};
use crate::runner::Scenario;
use crate::stage::Stage;
use crate::traffic::outside;

pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "the_means_of_proof_see_what_they_must",
    secs: 60,
    full: false,
    run: see,
}];

fn see(stage: &mut Stage) -> Outcome {
    answers_and_losses(stage)?;
    leaks(stage)?;
    // These losses and leaks were made on purpose: the judgement begins here.
    stage.begin(
        "the_means_of_proof_see_what_they_must",
        Duration::from_secs(30),
    )
}

fn answers_and_losses(stage: &mut Stage) -> Outcome {
    let target = |object: &str, address: &str, method| -> Outcome<Target> {
        let address = address
            .parse()
            .map_err(|_| Failure::Wrong(format!("{address} is no address")))?;
        Ok(Target {
            object: object.into(),
            address,
            method,
        })
    };
    for address in [ROUTER.0, ROUTER.1] {
        stage.prober.add(target("a/ping", address, Method::Ping)?);
    }
    for address in [FAR_CLIENT.0, FAR_CLIENT.1] {
        stage.prober.add(target("b/udp", address, Method::Udp)?);
    }
    for address in ["10.155.30.77", "2001:db8:1::77"] {
        stage.prober.add(target("c/nobody", address, Method::Ping)?);
    }
    stage.pause(1.0);
    let standings = stage.prober.standings();
    stage.probe_settle();
    for (target, standing) in &standings {
        let silent = target.object == "c/nobody";
        demand(
            standing.sent >= 10 && silent == (standing.answered == 0),
            || format!("{target:?}: {standing:?}"),
        )?;
        let seen = standing.seen.as_ref().map(|seen| seen.pod.clone());
        let named = target.method != Method::Udp || seen.as_deref() == Some("client2");
        demand(named, || format!("{target:?} was answered by {seen:?}"))?;
    }
    let losses = stage
        .history
        .records()
        .into_iter()
        .filter_map(|record| match record.what {
            What::Loss(loss) => Some(loss),
            _ => None,
        });
    let losses: Vec<_> = losses.collect();
    demand(
        losses.len() == 2 && losses.iter().all(|loss| loss.object == "c/nobody"),
        || format!("losses: {losses:?}"),
    )
}

/// A host outside sends from inside addresses.
fn leaks(stage: &mut Stage) -> Outcome {
    let echo = stage.echo();
    let script = format!(
        "ip addr add 10.244.9.9/32 dev lo; ip addr add fd00:10:244::99/128 dev lo
        ip route add 198.51.100.0/24 via 10.155.30.1 src 10.244.9.9
        ip -6 route add 2001:db8:2::/64 via 2001:db8:1::1 src fd00:10:244::99
        {echo} --udp 198.51.100.9:5353 --timeout-ms 100; {echo} --udp '[2001:db8:2::9]:5353' --timeout-ms 100
        ip route del 198.51.100.0/24; ip -6 route del 2001:db8:2::/64
        ip addr del 10.244.9.9/32 dev lo; ip addr del fd00:10:244::99/128 dev lo",
        echo = echo.display()
    );
    stage.lab.exec(&outside("client"), &["sh", "-c", &script])?;
    let mut seen = Vec::new();
    let wanted = [("client", "0800"), ("client", "86dd"), ("router", "0800")];
    stage.wait_for("sight of every leak", 3.0, || {
        seen = stage
            .history
            .records()
            .into_iter()
            .filter_map(|record| match record.what {
                What::Leak(leak) => Some((leak.host, leak.bytes.get(24..28)?.to_owned())),
                _ => None,
            })
            .collect();
        let has = |(host, kind): &(&str, &str)| seen.iter().any(|(h, k)| h == host && k == kind);
        if wanted.iter().all(has) {
            Ok(())
        } else {
            Err(format!("seen: {seen:?}"))
        }
    })
}
