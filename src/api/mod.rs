//! gRPC: one file for each service. Converts, calls, and maps errors; decides nothing.

pub mod archive_checks;
pub mod auditor;
pub mod authorize;
mod chain;
pub mod consumer;
pub mod custodian;
pub mod emitter;
pub mod evidence_checks;
pub mod gate;
pub mod http;
mod listing;
pub mod operator;
mod proofs;
pub mod registry;
pub mod reviewer;
mod sealed;
pub mod server;
pub mod status;
pub mod tls;
