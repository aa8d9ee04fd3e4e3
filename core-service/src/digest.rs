//! SHA-256 digests and hexadecimal text.

use std::{fmt, sync::LazyLock};

use http_server::BlockingLimiter;
use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub(crate) type Sha256Digest = [u8; 32];

/// Bounds the blocking threads that compute the digests of long inputs.
pub(crate) static LIMITER: LazyLock<BlockingLimiter> = LazyLock::new(BlockingLimiter::per_cpu);

/// Returns the SHA-256 digest of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256::digest(bytes).into()
}

/// Displays bytes as lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Parses hexadecimal digits in either case; `None` unless there are exactly two digits per byte of `N`.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    bytes?.try_into().ok()
}
