//! The OVN data plane on a real OVN network: northd, both databases, three chassis with userspace
//! datapaths, hosts outside and inside (`ovn-lab/lab.sh` has the picture).
//!
//! Needs root, for network namespaces, and what `scripts/ovn.sh` unpacks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "ovn/lab.rs"]
mod lab;
mod rig;

mod ovn {
    mod acknowledged;
    mod checks;
    mod cluster;
    mod packets;
    mod race;
    mod rows;
}
