//! `bench`: drives a node over gRPC with whole six-field events and measures it beside the bare disk and bare gRPC.

mod bare;
mod load;
mod processor;
pub mod sample;

pub use load::{Args, run};
