//! The promotion file (YAML): its shape, the files that it names, and what is sent for it.
//!
//! `shape` is the file as written, `convert` is pure, `read` is the only part that touches files.

mod convert;
mod fields;
mod read;
mod shape;

pub use convert::{Converted, Upload};
pub use read::{hash_file, read};
