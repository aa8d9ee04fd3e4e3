//! Hashing and dice. Everything random in a picture comes from one 64-bit seed through these functions, so a picture can
//! be painted again, band by band and on any number of threads.

/// Spreads every input bit over the whole word (the finaliser of SplitMix64).
pub(crate) fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// FNV-1a over the text, finalised: short prompts that differ in one letter must not get neighbouring seeds.
pub(crate) fn of_text(text: &str) -> u64 {
    let folded = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    mix(folded)
}

/// A number in `0.0..1.0` that belongs to one lattice point.
pub(crate) fn at(seed: u32, x: i32, y: i32) -> f32 {
    let mut word = seed ^ x.cast_unsigned().wrapping_mul(0x9e37_79b1) ^ y.cast_unsigned().wrapping_mul(0x85eb_ca77);
    word = (word ^ (word >> 15)).wrapping_mul(0x2c1b_3c6d);
    word = (word ^ (word >> 12)).wrapping_mul(0x297a_2d39);
    word ^= word >> 15;
    // 24 bits are what an f32 holds exactly.
    (word >> 8) as f32 / 16_777_216.0
}

/// A sequence of random numbers; `fork` gives independent ones, so that adding a tree does not move the clouds.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn fork(&self, purpose: &str) -> Self {
        Self { state: mix(self.state ^ of_text(purpose)) }
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A lattice seed for the noise functions.
    pub(crate) fn seed(&mut self) -> u32 {
        (self.word() >> 32) as u32
    }

    /// In `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.word() >> 40) as f32 / 16_777_216.0
    }

    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// In `0..count`; `count` must not be zero.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.word() % count.max(1) as u64) as usize
    }

    pub(crate) fn chance(&mut self, share: f32) -> bool {
        self.unit() < share
    }

    pub(crate) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { -1.0 } else { 1.0 }
    }
}
