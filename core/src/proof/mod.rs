//! The protocol as a whole: the operator's machine twice, an agent's machine in
//! every gateway pod, an API server whose watches lag, break and coalesce, a
//! user, a cluster and its faults, in one process and on virtual time.
//!
//! [`world::World`] is all of it. It holds no chance: each thing that can happen
//! next is a [`choice::Choice`], and whoever drives it chooses. [`sim`] draws
//! choices from a seed, thousands of schedules a minute. After every choice
//! [`judge`] compares what stands at the API server and in the kernels with a
//! ledger of what was held, reported and read; it asks no code of the product.

mod calm;
mod choice;
mod clock;
mod cluster;
mod contender;
mod edge;
mod fair;
mod faults;
mod judge;
mod kernel;
mod landing;
mod ledger;
mod machine;
mod model;
mod notes;
mod random;
mod schedule;
mod sim;
mod truth;
mod user;
mod wire;
mod world;
