//! The integration tests, one binary. `SEED=…` replays a simulation, `UPDATE_VECTORS=1` writes the test vectors.
#![forbid(unsafe_code)]
#![cfg(feature = "node")]

mod canonical;
mod kafka_log;
mod log_contract;
mod rules;
mod samples;
mod six_fields;
