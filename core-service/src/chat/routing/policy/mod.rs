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

/// The place of the candidate that measures least; by weighted chance among equals.
fn least<T: PartialOrd>(candidates: &[&Target], measure: impl Fn(&Target) -> T) -> usize {
    // Once each: other calls begin and end meanwhile.
    let measured: Vec<_> = candidates.iter().map(|target| measure(target)).collect();
    let is_least = |mine: &T| !measured.iter().any(|other| other < mine);
    let places: Vec<_> = (0..candidates.len()).filter(|&place| is_least(&measured[place])).collect();
    let equals: Vec<_> = places.iter().map(|&place| candidates[place]).collect();
    places.get(Weighted.choose(&equals)).copied().unwrap_or_default()
}
