//! Examiner bundles: what an outsider needs to check promotions without a network, in one file. Pure.
//!
//! `container` is the file: a zip with exactly one spelling, so that two verifiers agree on every byte. `manifest` says
//! what it is about; `verify` checks everything else against the ledger's own proofs; `sample` draws what an auditor
//! looks at. The layout is section 20 of `src/event/FORMAT.md`.
//!
//! NOT where bundles are gathered (`cli::examiner`), and nothing here believes what a bundle says of itself.

pub mod attestation;
pub mod attributes;
pub mod container;
pub mod manifest;
pub mod names;
mod parts;
pub mod promotions;
pub mod sample;
pub mod stamps;
pub mod verify;
pub mod words;
