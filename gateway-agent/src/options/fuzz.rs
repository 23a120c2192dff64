//! Flags, one a line of the input; what the environment gives goes the same way.

use sluice_fuzz::{feed, trait_of};

use super::*;

#[test]
fn fuzz_flags() -> Result<(), String> {
    let seeds: [&[u8]; 3] = [
        b"--pod-ips=10.0.0.1,fd00::1\n--http-bind=127.0.0.1:9808\n--log-format=text",
        b"--dataplane=ovn\n--northbound=unix:/nb\n--southbound=unix:/sb\n--router=r\n--gateway-port=p",
        b"--shared-tables\n--pod-interface\neth0\n--log\ninfo",
    ];
    let words = [
        "--",
        "=",
        ",",
        "\n",
        "::",
        "tcp:10.0.0.1:6641",
        "ssl:[fd00::1]:6641",
        "nftables",
        "-1",
        "--help",
        "0.0.0.0:65536",
        "\u{fffd}",
    ];
    let always = [
        "agent",
        "--pod-name=p",
        "--pod-uid=u",
        "--pod-namespace=n",
        "--node-name=n",
        "--gateway=g",
        "--gateway-uid=u",
    ];
    feed("agent_flags", &seeds, &words, |input| {
        let text = String::from_utf8_lossy(input).into_owned();
        match Options::try_parse_from(always.into_iter().chain(text.lines())) {
            Ok(options) => {
                assert_eq!(options.kernel().pod_addresses, options.pod_ips);
                let (ips, binds) = (options.pod_ips.len(), options.http_bind.len());
                trait_of((0, ips.min(4), binds.min(4), options.dataplane as u8))
            }
            Err(error) => trait_of((1, format!("{:?}", error.kind()))),
        }
    })
}
