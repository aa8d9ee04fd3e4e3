//! Sizes of pictures and video frames.

use std::{fmt, str::FromStr};

/// A size in pixels, both sides at least 1. Written `WIDTHxHEIGHT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
}

impl Size {
    /// Creates a size.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Returns the number of pixels.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// The error of a text that is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be WIDTHxHEIGHT in pixels, for example \"1024x1024\"")]
pub struct ParseSizeError;

impl FromStr for Size {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let side = |digits: &str| match digits.parse() {
            Ok(side @ 1..) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(side),
            _ => Err(ParseSizeError),
        };
        let (width, height) = text.split_once('x').ok_or(ParseSizeError)?;
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}
