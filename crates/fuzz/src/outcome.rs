//! What an input led to, in 64 bits: the stable toolchain's stand-in for coverage. Inputs with a new outcome join the pool.

use crate::rng::mix;

/// A digest of the path an input took. Digest kinds, flags and rough sizes, never values: values would make everything new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Outcome(u64);

impl Outcome {
    /// Adds a kind, flag or discriminant.
    pub fn note(&mut self, kind: impl Into<u64>) -> &mut Self {
        self.0 = mix(self.0 ^ kind.into().wrapping_add(1));
        self
    }

    /// Adds a size, rounded to its power of two.
    pub fn size(&mut self, size: usize) -> &mut Self {
        self.note(u64::from(usize::BITS - size.leading_zeros()))
    }

    /// Adds an error by its name.
    pub fn error(&mut self, error: impl std::fmt::Debug) -> &mut Self {
        for byte in format!("{error:?}").bytes() {
            self.note(byte);
        }
        self
    }
}
