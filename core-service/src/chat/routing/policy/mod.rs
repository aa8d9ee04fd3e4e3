//! Load-balancing policies: which of several available targets gets a call.

mod first_token;
mod least_in_flight;
mod weighted;

pub use self::{first_token::FirstToken, least_in_flight::LeastInFlight, weighted::Weighted};
use super::target::Target;

/// A load-balancing policy.
pub trait Policy: std::fmt::Debug + Send + Sync {
    /// Returns the index of the chosen target among the candidates, which must not be empty.
    fn choose(&self, candidates: &[&Target]) -> usize;
}

/// Returns the index of a candidate with the lowest measure; by weighted random choice among equals.
fn choose_lowest<T: PartialOrd>(candidates: &[&Target], measure: impl Fn(&Target) -> T) -> usize {
    // Each measured once, because other calls begin and end at the same time.
    let measured: Vec<_> = candidates.iter().map(|target| measure(target)).collect();
    let is_lowest = |value: &T| !measured.iter().any(|other| other < value);
    let indices: Vec<_> = (0..candidates.len()).filter(|&index| is_lowest(&measured[index])).collect();
    let equals: Vec<_> = indices.iter().map(|&index| candidates[index]).collect();
    indices.get(Weighted.choose(&equals)).copied().unwrap_or_default()
}
