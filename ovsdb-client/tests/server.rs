//! The client against real servers: `ovsdb-server`, alone and three in a cluster, and a proxy
//! between that cuts and holds.
//!
//! The programs are those that `scripts/ovn.sh` unpacks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod server {
    mod basics;
    mod cluster;
    mod faults;
    mod flood;
    mod monitors;
    mod operations;
    mod process;
    mod proxy;
    mod schema_change;
    mod tls;
}
