//! Choice by the lowest measure, which several policies share.

use super::{choice::Policy, weighted::Weighted};
use crate::chat::routing::target::Target;

/// Returns the index of a candidate with the lowest measure; by weighted random choice among equals.
pub(super) fn choose_lowest<T: PartialOrd>(candidates: &[&Target], measure: impl Fn(&Target) -> T) -> usize {
    // Each measured once, because other calls begin and end at the same time.
    let measured: Vec<_> = candidates.iter().map(|target| measure(target)).collect();
    let is_lowest = |value: &T| !measured.iter().any(|other| other < value);
    let indices: Vec<_> = (0..candidates.len()).filter(|&index| is_lowest(&measured[index])).collect();
    let equals: Vec<_> = indices.iter().map(|&index| candidates[index]).collect();
    indices.get(Weighted.choose(&equals)).copied().unwrap_or_default()
}
