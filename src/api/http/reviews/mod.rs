//! Reviews for the people who decide them: log in, read what was sealed, post the form, log in again to sign it.
//!
//! 1. `/reviews/<seq>/` asks who comes: a login at an issuer of `[[logins]]` gives a session (cookie, new at each login).
//! 2. `/reviews/<seq>/in/<token>/` is the sealed page, byte for byte. What is served below it is noted in that session.
//!    The token belongs to the session and guards the form: the page's bytes are sealed and hold none.
//! 3. `decide` takes the form and freezes a decision statement. Nothing is written; the answer leads to
//! 4. `sign/<nonce>`: a fresh login whose nonce commits to the statement. `/login/callback` brings its ID token, and the
//!    entry is written; `/reviews/<seq>/decided/<entry>` shows it, however often it is asked for.
//!
//! `desk` holds what all share and guards every request; `browser` knows who logged in; `form` reads the form; `enter` is
//! logins, there and back; `show` serves what was sealed; `decide` freezes and signs; `inbox` is one person's list; `leave`
//! ends a session;
//! `readers` lets auditors read everything else.

mod browser;
mod decide;
mod desk;
mod enter;
mod form;
mod inbox;
mod leave;
mod readers;
mod show;

pub use desk::{Desk, router};
pub use readers::{Readers, own_name, readers};
