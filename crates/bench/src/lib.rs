//! What benchmarks of the whole system stand on: the real processor under a load that does not
//! wait for it, and a receiver, in a process of its own, that can be bad in every way a server can.
//!
//! `bench-isolation` asks what bad receivers cost the healthy ones, and what one costs that is far
//! behind. Its figures compare cases of
//! one run with each other: the machine, and who else works on it, are the same for all of them.
//! `bench-deliveries` asks how many deliveries a second there are, and what one costs; `bench-stats`
//! what the statistics cost; `bench-scale` what more subscriptions, more who want an event, and more
//! replicas change; `bench-soak` what does not stay as it is under a steady load.

pub mod backlog;
pub mod behind;
pub mod case;
pub mod catch_up;
pub mod columns;
pub mod deliveries;
pub mod figures;
pub mod json;
pub mod kind;
pub mod load;
pub mod manners;
pub mod processes;
pub mod program;
pub mod receiver;
pub mod report;
pub mod run;
pub mod scale;
pub mod soak;
pub mod stage;
pub mod statistics;
