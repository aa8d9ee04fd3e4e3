//! Picture and frame sizes.

use std::{fmt, str::FromStr};

/// A size in pixels, both sides at least 1. Spelled `WIDTHxHEIGHT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Size {
    /// The size of the given sides.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Why a text is no size; says what would be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be WIDTHxHEIGHT in pixels, for instance 1024x1024")]
pub struct NotASize;

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let side = |digits: &str| match digits.parse() {
            Ok(side @ 1..) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(side),
            _ => Err(NotASize),
        };
        let (width, height) = text.split_once('x').ok_or(NotASize)?;
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}
