//! Flags, one a line of the input; what the environment gives goes the same way.

use sluice_fuzz::{feed, trait_of};

use super::*;

#[test]
fn fuzz_flags() -> Result<(), String> {
    let seeds: [&[u8]; 3] = [
        b"--namespace=n\n--lease-duration-secs=15\n--writers=24",
        b"--metrics-bind=[::]:8080\n--log-format=text\n--log=info,kube=off",
        b"--request-timeout-secs\n10\n--gateway-image\nregistry.example/agent:1",
    ];
    let words = [
        "--",
        "=",
        "\n",
        "--lease-name",
        "-1",
        "65536",
        "4294967296",
        "[::1]:0",
        "json",
        "--help",
        "--version",
        "--log=",
        "\u{fffd}",
    ];
    feed("operator_flags", &seeds, &words, |input| {
        let text = String::from_utf8_lossy(input).into_owned();
        let all = std::iter::once("sluice-operator").chain(text.lines());
        match Options::try_parse_from(all) {
            Ok(options) => {
                assert!((2..=300).contains(&options.lease_duration_secs));
                assert!((16..=256).contains(&options.writers));
                assert!((1..=60).contains(&options.request_timeout_secs));
                let filter = tracing_subscriber::EnvFilter::try_new(&options.log).is_ok();
                trait_of((
                    0,
                    filter,
                    options.log_format as u8,
                    options.metrics_bind.is_ipv4(),
                ))
            }
            Err(error) => trait_of((1, format!("{:?}", error.kind()))),
        }
    })
}
