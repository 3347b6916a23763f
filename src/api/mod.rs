//! gRPC: one file for each service. Converts, calls, and maps errors; decides nothing.

pub mod auditor;
pub mod consumer;
pub mod emitter;
pub mod operator;
pub mod server;
pub mod status;
