//! People: their pseudonyms in events, and their sealed, erasable data.
//!
//! `token` verifies what an identity provider signed; `principal` says what its holder may do. `caller` knows callers,
//! `certificates` services by their client certificates, `logins` the issuers where approvers log in; `kept` verifies again what the ledger kept of them; `development` is an
//! issuer of this node's own. `code_flow` sends a browser to an issuer and redeems what it brings back.

pub mod assertion;
pub mod caller;
pub mod certificates;
pub mod code_flow;
pub mod development;
pub mod directory;
pub mod issuer;
pub mod jwks;
pub mod kept;
pub mod logins;
pub mod principal;
pub mod sealed_evidence;
pub mod subjects;
pub mod token;
