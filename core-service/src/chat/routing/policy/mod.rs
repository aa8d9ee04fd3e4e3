//! Which of several targets that could all serve a call gets it.

mod first_token;
mod least_in_flight;
mod weighted;

pub use self::{first_token::FirstToken, least_in_flight::LeastInFlight, weighted::Weighted};
use super::target::Target;

/// A way to choose.
pub trait Policy: std::fmt::Debug + Send + Sync {
    /// The place of the chosen one among the candidates, which are not empty.
    fn choose(&self, candidates: &[&Target]) -> usize;
}
