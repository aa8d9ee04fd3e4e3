//! Load-balancing policies: which of several available targets gets a call.

mod choice;
mod first_token;
mod least_in_flight;
mod lowest;
mod weighted;

pub use self::{choice::Policy, first_token::FirstToken, least_in_flight::LeastInFlight, weighted::Weighted};
