//! For tests: what a cipher leaves, the same from the same seed.

/// Marsaglia's xorshift, 64 bits; the seed is not 0.
pub struct Chance(pub u64);

impl Chance {
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                (self.0 >> 24) as u8
            })
            .collect()
    }
}
