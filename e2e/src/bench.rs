//! Benchmarks: how fast and how large, beside what one would otherwise run, in
//! one run on one machine, as ratios.

pub mod cluster;
pub mod flows;
pub mod gateway;
pub mod machine;
pub mod ovn;
pub mod process;
pub mod programming;
pub mod ready;
pub mod report;
pub mod shaping;
pub mod stats;
