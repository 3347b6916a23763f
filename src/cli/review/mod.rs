//! Reviews from a terminal: `review` seals, shows, lists and withdraws; `decide` approves, declines and requests
//! changes; `delegate` lets somebody else decide, `condition` closes one; `login` gets the ID token by way of a browser; `follow` waits until a review is over; `words` prints.

mod command;
pub mod condition;
pub mod decide;
pub mod delegate;
pub mod follow;
mod login;
mod seal;
mod words;

pub use command::{Args, run};
pub use seal::seal;
