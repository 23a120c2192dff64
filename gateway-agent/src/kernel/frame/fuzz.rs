//! Frames from the link, whoever sent them.

use sluice_fuzz::{feed, trait_of};

use super::*;

#[test]
fn fuzz_frames() -> Result<(), String> {
    let mac = [2, 0, 0, 0, 0, 7];
    let (v4, v6) = (
        IpAddr::from([192, 0, 2, 7]),
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7]),
    );
    let mut frames = [announcement(v4, mac), announcement(v6, mac)].concat();
    frames.extend([probe(v4, mac), probe(v6, mac), question(v6, Some(v6), mac)]);
    let seeds: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    feed("frames", &seeds, &[], |input| {
        let claimed = claim(input);
        if let Some((address, mac)) = claimed {
            assert!(
                mac[0] & 1 == 0 && mac != [0; 6],
                "a group's MAC of {address}"
            );
        }
        trait_of((
            claimed.map(|(a, _)| a.is_ipv4()),
            input.len().min(90),
            input.get(12..22),
        ))
    })
}
