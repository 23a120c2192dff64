//! The rules of one gateway as `nft` lists them. `BLESS=1` writes the file anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod rig;

use rig::{Net, output};

const ENTRIES: [&str; 18] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "addr e2 1 10.155.30.242 external",
    "addr e3 1 10.155.30.243 external",
    "fip f1 1 10.155.30.241 10.244.0.5 both",
    "fip f1 1 2001:db8:1::e:1 fd00:10:244::5 both",
    "dnat d1 1 10.155.30.242 tcp 8080 10.244.0.6 80",
    "dnat d2 1 10.155.30.242 tcp 1000-1999 10.244.0.6 1000-1999",
    "dnat d3 1 10.155.30.243 udp * 10.244.0.6 *",
    "dnat d4 1 10.155.30.242 sctp 2905 10.244.0.5,10.244.0.6=0 2905",
    "dnat d5 1 10.155.30.242 udp 3000-3999 10.244.0.5,10.244.0.6 3000-3999",
    "addr e4 1 2001:db8:1::e:4 external",
    "dnat d6 1 2001:db8:1::e:4 tcp * fd00:10:244::5,fd00:10:244::6 *",
    "snat s1 1 10.244.0.0/16 10.155.30.242",
    "snat s2 1 10.244.7.0/24 10.155.30.243",
    "shape e1 1 10.155.30.241 10000000 20000000",
    "shape e1 1 2001:db8:1::e:1 10000000 20000000",
    "shape e3 1 10.155.30.243 - 20000000",
];

#[test]
fn rules_are_those_of_the_golden_file() {
    let net = Net::new();
    let gateway = net.gateway(false);
    gateway.apply(1, &ENTRIES, true);
    let listed = output(&net.gw, "nft list ruleset");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gateway.nft");
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).unwrap();
        std::fs::write(path, &listed).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(
        listed == golden,
        "BLESS=1 writes {path} anew; now:\n{listed}"
    );
}
