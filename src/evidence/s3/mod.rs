//! Evidence in an S3 bucket with Object Lock in COMPLIANCE mode: nobody, the node's own credentials and the account's
//! owner included, deletes or replaces it before its time. S3 API reference, 2006-03-01.
//!
//! - `settings`: which bucket, how; `credentials`: from a file with checked permissions.
//! - `bucket`: objects by name: put under a lock if absent, ask, lock longer, read. The ledger's archive uses it too.
//! - `upload`: a file as one PUT, or, beyond what one takes, in parts.
//! - `listing`: what is below a name, in buckets that others write: a model registry's files.
//! - `unlocked`: objects that must be destroyable: subject records.
//! - `store`: evidence by digest, on top of `bucket`; `probe` tries to break it; `answer` reads what S3 says.

mod answer;
mod bucket;
mod credentials;
mod listing;
mod probe;
mod settings;
mod store;
mod unlocked;
mod upload;

pub use answer::{Refusal, broken_off};
pub use bucket::{Bucket, Unheld, Version};
pub use settings::Settings;
pub use store::S3;
