//! The video durations that a model accepts.

use std::{cmp::Reverse, fmt};

use serde::Deserialize;

/// The durations of videos that a model accepts, in whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Durations {
    /// All whole seconds from `min` to `max`, both included.
    Range {
        /// The shortest duration.
        min: u32,
        /// The longest duration.
        max: u32,
    },
    /// Only these durations, in ascending order.
    Values(Vec<u32>),
}

impl Default for Durations {
    /// Returns the range for models whose durations are not known: 1 to 60 seconds. The provider refuses others.
    fn default() -> Self {
        Self::Range { min: 1, max: 60 }
    }
}

impl Durations {
    /// Returns whether the model accepts this duration.
    pub fn contains(&self, seconds: u32) -> bool {
        self.nearest(seconds) == seconds
    }

    /// Returns the accepted duration nearest to `seconds`. If two are equally near, returns the longer one.
    pub fn nearest(&self, seconds: u32) -> u32 {
        match self {
            // Not `clamp`, which panics for a range of the settings with `min` above `max`.
            Self::Range { min, max } => seconds.max(*min).min(*max),
            Self::Values(values) => {
                let nearest_then_longest = |value: &&u32| (value.abs_diff(seconds), Reverse(**value));
                values.iter().min_by_key(nearest_then_longest).copied().unwrap_or(seconds)
            }
        }
    }

    /// Returns every accepted duration, in ascending order.
    pub fn to_vec(&self) -> Vec<u32> {
        match self {
            Self::Range { min, max } => (*min..=*max).collect(),
            Self::Values(values) => values.clone(),
        }
    }
}

impl fmt::Display for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { min, max } => write!(f, "{min} to {max}"),
            Self::Values(values) => {
                let texts: Vec<_> = values.iter().map(u32::to_string).collect();
                f.write_str(&texts.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> Durations {
        Durations::Range { min: 4, max: 12 }
    }

    fn values() -> Durations {
        Durations::Values(vec![4, 6, 8])
    }

    #[test]
    fn nearest_is_the_longer_of_two_equally_near_values() {
        for (seconds, nearest) in [(1, 4), (4, 4), (5, 6), (7, 8), (60, 8)] {
            assert_eq!(values().nearest(seconds), nearest, "{seconds}");
        }
    }

    #[test]
    fn nearest_is_the_bound_of_the_range_for_durations_outside_it() {
        for (seconds, nearest) in [(1, 4), (5, 5), (60, 12)] {
            assert_eq!(range().nearest(seconds), nearest, "{seconds}");
        }
    }

    #[test]
    fn contains_includes_both_bounds_and_excludes_gaps_between_values() {
        assert_eq!([3, 4, 12, 13].map(|seconds| range().contains(seconds)), [false, true, true, false]);
        assert_eq!([4, 5, 6].map(|seconds| values().contains(seconds)), [true, false, true]);
    }

    #[test]
    fn display_shows_a_range_or_a_list() {
        assert_eq!((range().to_string(), values().to_string()), ("4 to 12".to_owned(), "4, 6, 8".to_owned()));
    }
}
