//! The durations that a model accepts.

use std::fmt;

use serde::Deserialize;

/// Durations in whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Durations {
    /// Every duration from `min` to `max`.
    Range {
        /// The shortest.
        min: u32,
        /// The longest.
        max: u32,
    },
    /// These alone, in ascending order.
    Values(Vec<u32>),
}

impl Default for Durations {
    fn default() -> Self {
        Self::Range { min: 1, max: 60 }
    }
}

impl Durations {
    /// Returns whether the duration is accepted.
    pub fn contains(&self, seconds: u32) -> bool {
        self.nearest(seconds) == seconds
    }

    /// Returns the nearest accepted duration, of two the longer one.
    pub fn nearest(&self, seconds: u32) -> u32 {
        match self {
            Self::Range { min, max } => seconds.max(*min).min(*max),
            Self::Values(values) => {
                let distance = |value: &&u32| (value.abs_diff(seconds), std::cmp::Reverse(**value));
                values.iter().min_by_key(distance).copied().unwrap_or(seconds)
            }
        }
    }

    /// Returns the durations one by one, for lists of capabilities.
    pub fn values(&self) -> Vec<u32> {
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

    #[test]
    fn nearest_duration_is_the_longer_of_two() {
        let values = Durations::Values(vec![4, 6, 8]);
        let nearest: Vec<_> = [1, 4, 5, 7, 60].map(|seconds| values.nearest(seconds)).into();
        assert_eq!(nearest, [4, 4, 6, 8, 8]);
        let range = Durations::Range { min: 4, max: 12 };
        assert_eq!([1, 5, 60].map(|seconds| range.nearest(seconds)), [4, 5, 12]);
        assert!(range.contains(12) && !values.contains(5));
        assert_eq!((values.to_string().as_str(), range.to_string().as_str()), ("4, 6, 8", "4 to 12"));
    }
}
