//! MLflow's REST API, as far as the ledger asks it: models, versions, aliases, tags, runs, and the bytes of a version.
//!
//! - `client`: one call, with its credentials, bounds and errors.
//! - `models`: the registry's questions and answers.
//! - `runs`: what a run recorded.
//! - `artifact`: one digest over the files of a version, the same as the Python client's.
//! - `place`: where those files are, on the server or in a bucket, and how they are read.
//! - `tar`: the archive that this digest is of; `openssf`: the other digest that people sign; both pure.

mod artifact;
mod client;
mod models;
mod openssf;
mod place;
mod runs;
mod tar;

pub use artifact::{Bytes, digest};
pub use client::{Client, Credentials, Error};
pub use models::{Alias, Registered, Tag, Version};
pub use runs::{DatasetInput, Metric, Run};
