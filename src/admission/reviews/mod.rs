//! Reviews at the front door: seal, show, decide, close, and the promotion that follows.

pub mod close;
mod complete;
pub mod decide;
pub mod finish;
mod offered;
pub mod seal;
pub mod sessions;
mod shown;
pub mod standing;
