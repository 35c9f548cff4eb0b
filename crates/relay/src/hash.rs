//! A fast hash that whoever does not know its keys cannot steer: for tables whose keys come from the network.

use std::hash::{BuildHasher, Hasher};

/// Two secret words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashKey {
    seed: u64,
    factor: u64,
}

impl HashKey {
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        let word = |at| u64::from_le_bytes(std::array::from_fn(|index| secret[at + index]));
        // An even factor would lose bits.
        Self { seed: word(0), factor: word(8) | 1 }
    }
}

impl BuildHasher for HashKey {
    type Hasher = KeyedHasher;

    #[inline]
    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { state: self.seed, factor: self.factor }
    }
}

/// Multiplies, and folds both halves of the product into the state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyedHasher {
    state: u64,
    factor: u64,
}

impl Hasher for KeyedHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.write_u64(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.state = fold(self.state ^ word, self.factor);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        fold(self.state.rotate_left(32), self.factor)
    }
}

#[inline]
fn fold(word: u64, factor: u64) -> u64 {
    let product = u128::from(word ^ FOLD_KEY) * u128::from(factor);
    product as u64 ^ (product >> 64) as u64
}

/// Zero words change the state, too: digits of pi.
const FOLD_KEY: u64 = 0x243f_6a88_85a3_08d3;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn neighbours_fill_a_table_as_chance_would() {
        let key = HashKey::new(std::array::from_fn(|at| 7 * at as u8 + 1));
        let slots: HashSet<u64> = (0..4096_u32).map(|number| key.hash_one(number) % 4096).collect();
        // Of 4,096 balls in as many bins 63 % of the bins hold one.
        assert!((2_400..2_800).contains(&slots.len()), "{}", slots.len());
    }

    #[test]
    fn another_key_gives_another_hash() {
        let [a, b] = [1, 2].map(|byte| HashKey::new([byte; 16]).hash_one([1_u64, 2, 3]));
        assert_ne!(a, b);
    }
}
