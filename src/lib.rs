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
//! | `review` | what is put before the approvers: the package, and the page whose bytes are sealed | yes |
//! | [`proof`] | Merkle tree, tiles, checkpoints, receipts, verification from genesis, keys at each position; all of it in the verify-only build | yes |
//! | [`bundle`] | examiner bundles: the file, what it holds, its check; samples and the attributes that auditors test. In the verify-only build | yes |
//! | `identity` | people: pseudonyms, sealed data; `token`, `principal`: who a token's holder is and what that one may do; `jwks`: an issuer's keys; `caller`, `certificates`, `logins`: callers of the API, services by client certificate, approvers; `kept`: logins verified again, pure; `development`: an issuer of this node's own, which proves nothing | in part |
//! | `evidence` | the exact bytes that were shown, by SHA-256; `personal`: what in them somebody should look at before, pure | in part |
//! | `log` | one ordered, durable sequence of values: embedded, or one partition of a Kafka topic | no |
//! | `ledger` | `state`, `decide`, `plan`, `keys`: the writer's rules, pure. `store`: RocksDB. `writer`: the only code that advances a ledger. `recover`: what must hold at start; `comparison`: and while a node follows a log. `replay`: the rules again, for verification | in part |
//! | `admission` | what needs a clock, a secret, a network or the policy engine happens here once, and its result is in the record: `promote` (check, name, route, submit), `routing` (evidence and state to a route), `slot_acts`, `submit` | in part |
//! | `projection` | `fold` and `dates`: pure; `worker`: one thread for each view; `query`: look-ups; `routing`: routes again what any front door recorded | in part |
//! | `gate` | may this artefact run there: `confirm` (as new as the log's end), `check` (from the projections), `status` (the list that decides offline), `coverage`, `emergencies`; `question` and `admission_review` are pure | in part |
//! | `custody` | what a node does for evidence and people on its own: it erases whom the ledger says to erase, tries to break its own evidence store, and looks at all evidence and the archive again (`rechecks`) | no |
//! | `archive` | the ledger's own headers, records and checkpoints in the evidence store, piece by piece; `pieces` is pure | in part |
//! | `durable` | small files that appear whole or not at all | no |
//! | `page` | pages for people, made on the server: `sections` of the six fields, `exhibit` for evidence, `shell` around all | yes |
//! | `readable` | evidence as a person can read it: bytes to safe HTML, or to a sandbox; what needs a static rendition | yes |
//! | `mlflow` | MLflow's REST API, and the digest of a version's files; `tar` is pure | no |
//! | `registry` | the model registry follows the ledger (pointer, then alias) and is swept for what nobody promoted; `expected`, `pointer`, `comparison`, `webhook` are pure | in part |
//! | `cursor` | how far something that follows the ledger came | no |
//! | `notify` | people and systems are told of entries and alerts: signed webhooks, mail, a durable cursor for each | no |
//! | `witness` | others who see checkpoints: witnesses that cosign them, peers whose tree must be the same, time-stamp authorities, a bucket of somebody else's | no |
//! | `alert` | what a node found that somebody must look at, until it is over | no |
//! | `api` | one file for each gRPC service, `http` for pages, tiles and hooks; `status` is the only map from errors to status codes | no |
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
//!   `flush_wal(sync)` makes everything written so far durable. Readers see synced sizes only. Where nobody else is on the
//!   way the thread that wrote syncs by itself; where the last sync served many, the writer waits for as many again.
//! - **Signing is aws-lc's, verifying ed25519-dalek's**: the bytes of a signature leave no choice (RFC 8032), what counts as
//!   one does, and `verify_strict` is what the formats name.
//! - **The tree stores no leaf hashes**: they come from the headers; only subtree roots of level 8 and up are rows
//!   (1/128 of a row for each entry), recent ones are kept in memory for receipts.
//! - **Dates are not rewritten** by a ClockReset: the state keeps the corrections, queries apply them.
//! - **Revoking counts as a change of the slot**, because it changes what a roll-back may choose.
//! - **A promotion that lost a race** for its slot is ABORTED, never silently re-admitted: its comparison may be with
//!   a model that is no longer current.
//! - **The writer compares policies by digest and reads none**: a route is derived by the front door, frozen with its
//!   inputs, and derived again by every node and by verification. A mismatch is a finding; outcomes stay a function
//!   of records alone, so that an engine's upgrade cannot fork a ledger.
//! - **A gate asks the log for its end** and answers when the projections have that much; questions that wait share one
//!   asking. What it cannot confirm it does not answer.
//! - **A policy is checked by the front door that carries it**, its own tests included, and by the one that routes with
//!   it; administrators sign its bytes, so every node has the same file.
//! - **Promotions do not wait for the archive.** An entry that waits for it longer than `archive.alert_seconds` raises an
//!   alert; longer than `archive.refuse_seconds`, the node stops admitting and says why. A node whose archive holds more
//!   than the node, or something else, does not start; one that could not ask admits nothing until it has.
//! - **The walk over the evidence follows the digests**, which are spread evenly: a digest is due when its share of the period
//!   has passed. No list, no queue; a cursor in a file, and each node walks by itself.
//! - **Evidence is kept from now on while its promotion is current**, and from its date otherwise, for its tier's days under the
//!   policy that routed it or the one in force, whichever is longer. What approvers were shown is evidence of the promotion
//!   that they made, also where only its review names it.
//! - **What a bucket shows after a change of a lock counts, not what it answered**: two calls for one lock may each be told of
//!   the other's end, or be refused for it.
//! - **A finding is over when a later look says so**; one entry a day says each of both, and names the end that it follows:
//!   what returns on the same day is another occurrence, and nodes agree on it because they read it from the ledger.
//! - **The archive needs no list of names.** Every name follows from a position, a checkpoint is written last, and bytes
//!   follow from the ledger alone: every node writes the same, in any order, and put-if-absent makes races harmless.
//! - **A review's page names nobody**: its bytes are write-once and outlive an erasure. Names, justification and residual
//!   risk are sealed with their people, as the fragments of the page's sheet of people.
//! - **Declining and asking for changes end a review**; the next one of that promotion is another round of it.
//! - **Another policy closes an open review**, whatever its tier says of another incumbent: what people were shown said
//!   which policy asks whom.
//! - **An open condition stops every promotion of its slot**, an automated one too, until somebody who does not own it
//!   closes it with evidence.
//! - **The development issuer's key is its name** (`development:` and the public key), so its logins verify from the event
//!   alone, need no IssuerKeys entry, and are marked in every event that relies on them.
//! - **An approval inside a promotion commits to the promotion key**: its login proves who, when and for which decision, not
//!   what was shown. It is refused unless the configuration allows it, and always in production: people decide in reviews.
//! - **The first IssuerListed closes the list**: before it a front door's configuration says whose logins count, from then on
//!   the administrators do.
//! - **Tokens expire by the system's clock**, logins inside a promotion by the time of their decision: they were made then.
//! - **What approvers were served and froze is kept in memory** of one node: after a restart they open the review again.
//! - **The digest of sealed evidence is that of the ciphertext**: a digest of the content would confirm a guess after the
//!   person was erased. Its nonce follows from key and content, so that a retry is the same evidence.
//! - **A contradiction stops admission, not the node**: who finds a second history (a witness, a peer) can still be shown the
//!   first one. It ends with a restart, and is found again if it is still there.
//! - **Cosignatures are gathered in rounds**, each over one size for all witnesses: a checkpoint is witnessed or it is not.
//! - **A bundle has one spelling and all headers**: a verifier that could read it in two ways could be shown two bundles, and
//!   without the headers nobody sees what was left out. 168 bytes for each entry is what that costs.
//! - **Pages in a bundle are proven by nothing**: drawing them again needs the renderer, which an auditor's own program
//!   has not. What is checked is the record, and the check prints what it says.
//! - **An attestation is signed by whoever exports it**; it carries receipt and record, so that nobody needs to trust that signer.
//! - **Projections are written without the write-ahead log**; rows and cursor share a column family, so a crash keeps a
//!   prefix and the rest is folded again.
#![forbid(unsafe_code)]
#![deny(rustdoc::broken_intra_doc_links)]
#![warn(missing_docs)]

pub mod bundle;
pub mod event;
pub mod policy;
pub mod proof;

#[cfg(not(feature = "node"))]
pub mod offline;

#[cfg(feature = "node")]
pub mod admission;
#[cfg(feature = "node")]
pub mod alert;
#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "node")]
pub mod archive;
#[cfg(feature = "node")]
pub mod cli;
#[cfg(feature = "node")]
pub mod clock;
#[cfg(feature = "node")]
pub mod config;
#[cfg(feature = "node")]
pub mod cursor;
#[cfg(feature = "node")]
pub mod custody;
#[cfg(feature = "node")]
pub mod durable;
#[cfg(feature = "node")]
pub mod evidence;
#[cfg(feature = "node")]
pub mod gate;
#[cfg(feature = "node")]
pub mod identity;
#[cfg(feature = "node")]
pub mod keyfile;
#[cfg(feature = "node")]
pub mod ledger;
#[cfg(feature = "node")]
pub mod log;
#[cfg(feature = "node")]
pub mod mlflow;
#[cfg(feature = "node")]
pub mod node;
#[cfg(feature = "node")]
pub mod notify;
#[cfg(feature = "node")]
pub mod page;
#[cfg(feature = "node")]
pub mod projection;
#[cfg(feature = "node")]
pub mod readable;
#[cfg(feature = "node")]
pub mod registry;
#[cfg(feature = "node")]
pub mod review;
#[cfg(feature = "node")]
pub mod witness;
