//! The largest TCP segment that two ends agree on through the gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing)]

mod rig;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use rig::{Net, in_ns, ip, settings};
use sluice_crds::internal::ConfigSettings;

const ENTRIES: [&str; 6] = [
    "addr e1 1 10.155.30.241 external",
    "addr e1 1 2001:db8:1::e:1 external",
    "fip f1 1 10.155.30.241 10.244.0.5 both",
    "fip f1 1 2001:db8:1::e:1 fd00:10:244::5 both",
    "addr e2 1 10.155.30.242 external",
    "snat s2 1 10.244.0.0/16 10.155.30.242",
];

/// What the kernel sends at most in one segment: what the other end said, and fits the own
/// interface.
fn mss(socket: impl AsFd) -> u32 {
    let mut size: libc::c_int = 0;
    let mut len = libc::socklen_t::try_from(std::mem::size_of::<libc::c_int>()).unwrap();
    // SAFETY: both pointers are to live locals, and `len` is the size of the first.
    let done = unsafe {
        libc::getsockopt(
            std::os::fd::AsRawFd::as_raw_fd(&socket.as_fd()),
            libc::IPPROTO_TCP,
            libc::TCP_MAXSEG,
            (&raw mut size).cast(),
            &raw mut len,
        )
    };
    assert_eq!(done, 0);
    u32::try_from(size).unwrap()
}

/// The sizes at both ends of a connection, without the 12 bytes of TCP's timestamps.
fn agreed(from: &str, to_host: &str, listen: &str, to: &str) -> (u32, u32) {
    let (listen, to): (SocketAddr, SocketAddr) = (listen.parse().unwrap(), to.parse().unwrap());
    let (tell, ready) = std::sync::mpsc::channel();
    let server = in_ns(to_host, move || {
        let listener = TcpListener::bind(listen).unwrap();
        tell.send(()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        mss(&stream) + 12
    });
    ready.recv().unwrap();
    let client = in_ns(from, move || {
        let time = Duration::from_secs(3);
        let stream = std::net::TcpStream::connect_timeout(&to, time).unwrap();
        mss(&stream) + 12
    });
    (client.join().unwrap(), server.join().unwrap())
}

fn clamped(clamp: &str) -> ConfigSettings {
    ConfigSettings {
        mss_clamp: Some(clamp.to_owned()),
        ..settings()
    }
}

/// Sizes by family: from inside to outside, and from outside to inside.
fn sizes(net: &Net) -> [(u32, u32); 4] {
    let (a, client) = (&net.a, &net.client);
    [
        agreed(a, client, "198.51.100.9:7000", "198.51.100.9:7000"),
        agreed(client, a, "10.244.0.5:7000", "10.155.30.241:7000"),
        agreed(a, client, "[2001:db8:2::9]:7000", "[2001:db8:2::9]:7000"),
        agreed(client, a, "[fd00:10:244::5]:7000", "[2001:db8:1::e:1]:7000"),
    ]
}

#[test]
fn both_ends_of_both_families_are_held_to_the_size_and_never_above_their_own() {
    let net = Net::new();
    let gateway = net.gateway(true);
    gateway.apply(1, &ENTRIES, true);
    let full = [
        (1_460, 1_460),
        (1_460, 1_460),
        (1_440, 1_440),
        (1_440, 1_440),
    ];
    assert_eq!(sizes(&net), full);
    gateway.apply_with(clamped("1200"), 2, &ENTRIES, true);
    assert_eq!(sizes(&net), [(1_200, 1_200); 4]);
    // Larger than what the ends say: theirs stands.
    gateway.apply_with(clamped("9000"), 3, &ENTRIES, true);
    assert_eq!(sizes(&net), full);
    gateway.apply(4, &ENTRIES, true);
    assert_eq!(sizes(&net), full);
}

#[test]
fn auto_goes_by_the_smaller_mtu_and_follows_it() {
    let net = Net::new();
    let gateway = net.gateway(true);
    // The uplink takes less than the LAN.
    ip(&format!("-n {} link set eth1 mtu 1400", net.gw));
    gateway.apply_with(clamped("Auto"), 1, &ENTRIES, true);
    let small = [
        (1_360, 1_360),
        (1_360, 1_360),
        (1_340, 1_340),
        (1_340, 1_340),
    ];
    assert_eq!(sizes(&net), small);
    // The LAN takes less than the uplink; it is seen at the next look, and is no drift.
    ip(&format!("-n {} link set eth1 mtu 1500", net.gw));
    ip(&format!("-n {} link set lan0 mtu 1300", net.gw));
    let seen = gateway.with(|kernel| kernel.inspect().unwrap());
    assert_eq!(seen.drift, Vec::<String>::new());
    let smaller = [
        (1_260, 1_260),
        (1_260, 1_260),
        (1_240, 1_240),
        (1_240, 1_240),
    ];
    assert_eq!(sizes(&net), smaller);
}
