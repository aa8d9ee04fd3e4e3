//! Hashing and seeded pseudo-random numbers. All random details of a picture are functions of one 64-bit seed, so the
//! result does not depend on bands or threads.

/// Mixes the bits of a word: the finalizer of SplitMix64.
pub(crate) fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Hashes a text with FNV-1a and mixes the result, because FNV-1a gives short, similar texts similar hashes.
pub(crate) fn hash_text(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    mix(hash)
}

/// Returns the pseudo-random number in `0.0..1.0` of a lattice point: an integer hash by shifts and multiplications with
/// customary constants, the first two from xxHash32.
pub(crate) fn lattice(seed: u32, x: i32, y: i32) -> f32 {
    let mut word = seed ^ x.cast_unsigned().wrapping_mul(0x9e37_79b1) ^ y.cast_unsigned().wrapping_mul(0x85eb_ca77);
    word = (word ^ (word >> 15)).wrapping_mul(0x2c1b_3c6d);
    word = (word ^ (word >> 12)).wrapping_mul(0x297a_2d39);
    word ^= word >> 15;
    // An f32 represents 24 bits exactly.
    (word >> 8) as f32 / 16_777_216.0
}

/// SplitMix64. Independent parts of a picture use their own [`fork`](Self::fork), so that a change to one part does not
/// alter the others.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns a generator whose sequence depends on this one's state and on `purpose`. Renaming a purpose changes pictures.
    pub(crate) fn fork(&self, purpose: &str) -> Self {
        Self { state: mix(self.state ^ hash_text(purpose)) }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Returns a seed for the noise functions.
    pub(crate) fn seed(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// Returns a number in `0.0..1.0`.
    pub(crate) fn next_f32(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / 16_777_216.0
    }

    /// Returns a number in `low..high`.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.next_f32()
    }

    /// Returns a number in `0..count`, or zero if `count` is zero.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next_u64() % count.max(1) as u64) as usize
    }

    /// Returns `true` with the given probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.next_f32() < probability
    }

    /// Returns `-1.0` or `1.0`.
    pub(crate) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { -1.0 } else { 1.0 }
    }
}
