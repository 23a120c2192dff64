//! Tests against the kernel, each in a network namespace of its own.
//!
//! They need root and nf_tables; without these each prints one line and passes as skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kernel {
    pub(crate) mod basics;
    pub(crate) mod dumps;
    pub(crate) mod flows;
    pub(crate) mod listings;
    pub(crate) mod namespace;
    pub(crate) mod transactions;
}
