//! Obvious personal data in evidence: what somebody should look at before it is sealed for years. Pure and bounded.
//!
//! NOT a proof of absence: names in running text, faces and rare formats are not looked for. What is reported is worth
//! a look: numbers count only with their check digits, columns only by names that people use for people.

mod names;
mod scan;
mod values;

pub use scan::{Finding, SAMPLE_LEN, scan};
