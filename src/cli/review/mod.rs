//! Reviews from a terminal: `review` seals, shows, lists and withdraws; `decide` approves, declines and requests
//! changes; `login` gets the ID token by way of a browser; `follow` waits until a review is over; `words` prints.

mod command;
pub mod decide;
pub mod follow;
mod login;
mod seal;
mod words;

pub use command::{Args, run};
pub use seal::seal;
