//! The integration tests, one binary. `SEED=…` replays a simulation, `UPDATE_VECTORS=1` writes the test vectors.
#![forbid(unsafe_code)]
#![cfg(feature = "node")]

mod canonical;
mod faults;
mod harness;
mod kafka_log;
mod kafka_node;
mod log_contract;
mod node;
mod routing;
mod rules;
mod samples;
mod simulation;
mod six_fields;
mod tidy;
mod vectors;
