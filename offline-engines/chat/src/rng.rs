//! Randomness without chance: a seed decides every choice, on every machine and in every version of the compiler.

use crate::{Format, Request, Role};

/// SplitMix64. Small, fast, and spread well enough to pick sentences.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..count`; zero when `count` is zero.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let count = count.max(1) as u64;
        // The remainder is below a usize, so the conversion keeps it.
        usize::try_from(self.next() % count).unwrap_or(0)
    }

    /// `items` must not be empty; only constant tables are picked from.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// What the answer may depend on. Limits (`max_tokens`, `stop`, `n`) stay out, so that a shorter answer is always the
/// beginning of the longer one.
pub(crate) fn fingerprint(request: &Request) -> u64 {
    let mut hash = Fnv::new();
    // At temperature zero a caller asks for the one likeliest answer, whatever the seed.
    if request.temperature != Some(0.0)
        && let Some(seed) = request.seed
    {
        hash.part(&seed.to_le_bytes());
    }
    for turn in &request.turns {
        hash.part(match turn.role {
            Role::System => b"system",
            Role::User => b"user",
            Role::Assistant => b"assistant",
            Role::Tool => b"tool",
        });
        hash.part(turn.text.as_bytes());
        turn.attachments.iter().for_each(|kind| hash.part(kind.as_bytes()));
    }
    for tool in &request.tools {
        hash.part(tool.name.as_bytes());
        hash.part(tool.parameters.to_string().as_bytes());
    }
    match &request.format {
        Format::Text => hash.part(b"text"),
        Format::JsonObject => hash.part(b"object"),
        Format::JsonSchema(schema) => hash.part(schema.to_string().as_bytes()),
    }
    hash.0
}

/// FNV-1a: unlike the standard library's hasher its result is fixed for good.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn part(&mut self, bytes: &[u8]) {
        // The length goes in too: ("ab", "c") and ("a", "bc") are different requests.
        for byte in bytes.len().to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
