//! The command line, one word a line of the input.

use sluice_fuzz::{feed, trait_of};

use super::*;

#[test]
fn fuzz_command_line() -> Result<(), String> {
    let seeds: [&[u8]; 5] = [
        b"explain\neip/web\nfip/web\n-n\nnet",
        b"trace\negress\n--from\n10.244.0.5\n--to\n[2001:db8::9]:443\n--protocol=udp",
        b"who\n10.155.30.200:40312\n--at\n2026-11-22T05:00:00Z",
        b"uninstall\n--yes\n--keep-operator\n--definitions\n--timeout=5",
        b"wait\nnatgw/egress\n--for=deleted\n-o\njson",
    ];
    let words = [
        "\n",
        "/",
        "=",
        "--",
        "-o",
        "yaml",
        "pool/",
        "eips.sluice.dev/",
        ":0",
        "%lo",
        "-1",
        "--at",
        "completion",
        "bash",
        "\u{fffd}",
    ];
    feed("command_line", &seeds, &words, |input| {
        let text = String::from_utf8_lossy(input).into_owned();
        let all = std::iter::once("kubectl-sluice").chain(text.lines());
        match Options::try_parse_from(all) {
            Ok(options) => {
                // What is named is named alike when it is read again.
                if let Command::Explain { targets } | Command::Wait { targets, .. } =
                    &options.command
                {
                    for target in targets {
                        assert_eq!(target.to_string().parse().as_ref(), Ok(target));
                    }
                }
                trait_of((
                    0,
                    std::mem::discriminant(&options.command),
                    options.output as u8,
                ))
            }
            Err(error) => trait_of((1, format!("{:?}", error.kind()))),
        }
    })
}
