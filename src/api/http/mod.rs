//! HTTP/1.1 beside gRPC: one file for each thing that is served, each a router of its own.

mod authorize;
mod development;
pub mod evidence;
mod gate;
pub mod pages;
mod registry;
pub mod reviews;
pub mod sealed;
pub mod server;
pub mod tiles;
