//! Seeded pseudo-random numbers. The sequence for a seed is the same on every platform and compiler version.

/// SplitMix64, with the constants of its reference implementation: small, fast, and well enough distributed to pick phrases.
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

    /// Returns a number in `0..count`, or zero if `count` is zero.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let count = count.max(1) as u64;
        // The remainder is less than a usize, so the conversion cannot fail.
        usize::try_from(self.next() % count).unwrap_or(0)
    }

    /// Returns one of the items.
    ///
    /// Panics if `items` is empty; callers pass constant, non-empty tables.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}
