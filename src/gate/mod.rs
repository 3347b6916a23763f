//! The gate in front of production: may this artefact run there?
//!
//! `question` and `admission_review` are pure. `confirm` makes sure that an answer is as new as the log's end, `check`
//! answers from the projections, `status` makes the list that decides offline, `coverage` says what stands in each slot,
//! `emergencies` keeps an alert for each break-glass that no promotion covers.

pub mod admission_review;
pub mod check;
pub mod confirm;
pub mod coverage;
pub mod emergencies;
pub mod question;
pub mod slots;
pub mod status;
