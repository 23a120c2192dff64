//! Steps from config to config leave the kernel as a fresh start would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use rig::Net;

/// A small generator (xorshift), so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn config(random: &mut Random) -> Vec<String> {
    let mut lines = Vec::new();
    for i in 0..random.below(12) {
        let n = random.below(8);
        let v4 = random.below(2) == 0;
        let (eip, inside, net) = if v4 {
            (
                format!("10.155.30.{}", 200 + i),
                format!("10.244.0.{n}"),
                format!("10.244.{n}.0/{}", 24 + n % 2),
            )
        } else {
            (
                format!("2001:db8:1::e:{i}"),
                format!("fd00:10:244::{}", n + 1),
                format!("fd00:10:{}::/{}", n + 1, 64 + n % 2),
            )
        };
        lines.push(format!("addr e{i} 1 {eip} external"));
        lines.push(match random.below(5) {
            0 => format!("fip r{i} 1 {eip} {inside} both"),
            1 => format!("dnat r{i} 1 {eip} udp {0} {inside} {0}", 1 + n),
            2 => format!("dnat r{i} 1 {eip} tcp 100-300 {inside} 100-300"),
            3 => format!(
                "dnat r{i} 1 {eip} tcp 100-103 {inside} {}-{}",
                200 + n,
                203 + n
            ),
            _ => format!("snat r{i} 1 {net} {eip}"),
        });
    }
    lines
}

#[test]
fn every_step_leaves_what_a_fresh_start_would() {
    let net = Net::new();
    let stepping = net.gateway(false);
    let mut random = Random(0x5eed_0000_0000_0001);
    for generation in 1..=60 {
        let lines = config(&mut random);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let holding = random.below(5) != 0;
        let applied = stepping.apply(generation, &lines, holding);
        // Another process reads all from the kernel and finds nothing to change.
        let fresh = net.gateway(false);
        let again = fresh.apply(generation, &lines, holding);
        assert_eq!(again.changed, 0, "generation {generation}: {lines:#?}");
        assert_eq!(again.rejected, applied.rejected);
    }
}
