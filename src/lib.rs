//! promotion-ledger: the missing write. At sign-off one atomic, immutable, content-addressed, signed promotion
//! event freezes six fields: model version, challenger comparison, approval request, approver identity,
//! explanation, dataset. All six, or the promotion does not happen.
//!
//! # Codemap: the layout follows the data
//!
//! ```text
//! api/emitter -> admission -> log -> ledger/writer -> projection -> api/auditor
//!     |             |          |         |                |             |
//!   gRPC in    check, seal,  Kafka   decide, chain,   rows for      gRPC out,
//!              sign, wait    or the  store, sync,     look-ups      streams
//!                            ledger  checkpoint
//!                            itself
//! ```
//!
//! | module | what it is | pure |
//! |---|---|---|
//! | [`event`] | types, canonical bytes, digests, the rules of the six fields; `FORMAT.md` is the byte layout | yes |
//! | [`policy`] | materiality routing: what changed, which tier that needs, what the tier requires; the policy file, its checks and its floor | yes |
//! | [`proof`] | Merkle tree, checkpoints, receipts, verification from genesis; all of it in the verify-only build | yes |
//! | `identity` | people: pseudonyms, sealed data, the shape of assertions | in part |
//! | `evidence` | the exact bytes that were shown, by SHA-256 | no |
//! | `log` | one ordered, durable sequence of values: embedded, or one partition of a Kafka topic | no |
//! | `ledger` | `state`, `decide`, `plan`, `keys`: the writer's rules, pure. `store`: RocksDB. `writer`: the only code that advances a ledger. `recover`: what must hold at start. `replay`: the rules again, for verification | in part |
//! | `admission` | what needs a clock, a secret, a network or the policy engine happens here once, and its result is in the record: `promote` (check, name, route, submit), `routing` (evidence and state to a route), `slot_acts`, `submit` | in part |
//! | `projection` | `fold` and `dates`: pure; `worker`: one thread for each view; `query`: look-ups; `routing`: routes again what any front door recorded | in part |
//! | `api` | one file for each gRPC service; `status` is the only map from errors to status codes | no |
//! | `node` | wires everything, in the order in which it may start and must stop | no |
//! | `cli` | one file for each command | no |
//!
//! `tests/it/tidy.rs` holds the table of who may use whom, and fails on any other import.
//!
//! # What never happens (the absences are the architecture)
//!
//! - The ledger's rules never read a clock, a network, a configuration or a random number: every node that reads the
//!   same log decides the same, byte for byte.
//! - Nobody is told of an entry before it is synced: not a caller, not a query, not a checkpoint.
//! - Nothing half-known is retried by the writer: any doubt halts it, and recovery is the live path.
//! - Personal data never stands in clear in an event; bincode never touches anything hashed, signed or sent.
//! - `event` and `proof` never do I/O.
//!
//! # Decisions where the design was silent
//!
//! - **Write and sync are two calls.** A batch is one RocksDB WriteBatch; the next batch is decided while one
//!   `flush_wal(sync)` makes everything written so far durable. Readers see synced sizes only.
//! - **The tree stores no leaf hashes**: they come from the headers; only subtree roots of level 8 and up are rows
//!   (1/128 of a row for each entry), recent ones are kept in memory for receipts.
//! - **Dates are not rewritten** by a ClockReset: the state keeps the corrections, queries apply them.
//! - **Revoking counts as a change of the slot**, because it changes what a roll-back may choose.
//! - **A promotion that lost a race** for its slot is ABORTED, never silently re-admitted: its comparison may be with
//!   a model that is no longer current.
//! - **The writer compares policies by digest and reads none**: a route is derived by the front door, frozen with its
//!   inputs, and derived again by every node and by verification. A mismatch is a finding; outcomes stay a function
//!   of records alone, so that an engine's upgrade cannot fork a ledger.
//! - **A policy is checked by the front door that carries it**, its own tests included, and by the one that routes with
//!   it; administrators sign its bytes, so every node has the same file.
//! - **Projections are written without the write-ahead log**; rows and cursor share a column family, so a crash keeps a
//!   prefix and the rest is folded again.
#![forbid(unsafe_code)]
#![deny(rustdoc::broken_intra_doc_links)]
#![warn(missing_docs)]

pub mod event;
pub mod policy;
pub mod proof;

#[cfg(not(feature = "node"))]
pub mod offline;

#[cfg(feature = "node")]
pub mod admission;
#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "node")]
pub mod cli;
#[cfg(feature = "node")]
pub mod clock;
#[cfg(feature = "node")]
pub mod config;
#[cfg(feature = "node")]
pub mod evidence;
#[cfg(feature = "node")]
pub mod identity;
#[cfg(feature = "node")]
pub mod keyfile;
#[cfg(feature = "node")]
pub mod ledger;
#[cfg(feature = "node")]
pub mod log;
#[cfg(feature = "node")]
pub mod node;
#[cfg(feature = "node")]
pub mod projection;
