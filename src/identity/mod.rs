//! People: their pseudonyms in events, and their sealed, erasable data.
//!
//! Seam for verified identity: assertions are kept and shape-checked here until token verification lands.

pub mod assertion;
pub mod subjects;
