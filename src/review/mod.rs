//! Reviews: what is put before the approvers, sealed before anybody sees it (design section 6). Pure.
//!
//! [`package::Package`] is everything that the screen shows; [`screen::render`] turns it into the page whose bytes are
//! sealed, stored and served. The same package always gives the same bytes.
//!
//! **People are pseudonyms on the page.** Its bytes are write-once and outlive an erasure, so names, the justification
//! and the residual risk stand in a sheet of their own ([`screen::render_person`]): one fragment for each person, sealed
//! with that person's data, shown in a frame of the page at [`screen::SHEET_PATH`].
//!
//! Addresses in the page are relative to the review's own (`/reviews/<seq>/`), because the seq is known only after the
//! page is sealed: `artefacts/<sha256>.<ending>` and `people` are read there, and the form is posted to `decide`.

mod form;
pub mod package;
pub mod screen;

pub use package::Package;
