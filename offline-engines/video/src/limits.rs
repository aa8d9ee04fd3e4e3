//! Durations and frame sizes that the mock video engine supports.

use std::ops::RangeInclusive;

/// Supported duration of a clip, in seconds.
pub const SECONDS: RangeInclusive<u32> = 1..=60;

/// Supported frame size: at most 4K (3840x2160), which is within the limits of H.264 level 5.2, in both orientations.
pub const SIDE: SideLimits = SideLimits { min: 64, max_long: 3840, max_short: 2160 };

/// Bounds of a frame's width and height, in pixels. Both must also be even, because chroma has half the resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SideLimits {
    /// Minimum of width and height.
    pub min: u32,
    /// Maximum of the longer side.
    pub max_long: u32,
    /// Maximum of the shorter side.
    pub max_short: u32,
}
