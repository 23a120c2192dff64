//! The lab: a real Kubernetes cluster on one machine, for demonstrations and
//! for end-to-end tests, without a container engine.
//!
//! etcd, the control plane and real nodes (kubelet, containerd, runc, CNI
//! plugins, Multus) run in namespaces of their own, below one process per lab.
//! When that process ends, everything ends: processes, mounts, network
//! namespaces with all their links. What remains, cgroups and files, is
//! removed by [`Lab::down`], which needs nothing but the files to do so.

pub mod bench;
pub mod capture;
pub mod cgroup;
pub mod cli;
pub mod cluster;
pub mod command;
pub mod control;
pub mod control_plane;
pub mod credentials;
pub mod demo;
pub mod echo;
pub mod error;
pub mod evidence;
pub mod families;
pub mod forward;
pub mod given;
pub mod host;
pub mod image;
pub mod init;
mod ipam;
pub mod lab;
pub mod manifests;
pub mod netns;
pub mod network;
pub mod node;
pub mod node_config;
pub mod options;
pub mod ovn;
pub mod paths;
pub mod plugins;
pub mod probe;
pub mod programs;
pub mod state;
pub mod supervisor;
mod tar;

pub use error::{LabError, Result};
pub use families::Families;
pub use host::Host;
pub use lab::Lab;
pub use options::UpOptions;
