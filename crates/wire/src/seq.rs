//! Unwraps 16-bit sequence numbers into 64-bit ones that only grow.

/// Extends 16-bit sequence numbers by the number of wraps seen.
///
/// The first number becomes `65536 + seq`, so packets reordered before it never underflow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extender {
    highest: Option<u64>,
}

impl Extender {
    /// An extender that has seen nothing.
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// The extended form of `seq`; remembers it when it is the highest so far.
    #[inline]
    pub fn extend(&mut self, seq: u16) -> u64 {
        let extended = self.peek(seq);
        if self.highest.is_none_or(|highest| extended > highest) {
            self.highest = Some(extended);
        }
        extended
    }

    /// The extended form of `seq` without remembering it.
    #[inline]
    pub fn peek(&self, seq: u16) -> u64 {
        match self.highest {
            None => FIRST_CYCLE + u64::from(seq),
            Some(highest) => highest.wrapping_add_signed(i64::from(seq.wrapping_sub(highest as u16) as i16)),
        }
    }

    /// The highest extended number so far.
    #[inline]
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// One whole cycle: the furthest step back from the first number is 32768.
const FIRST_CYCLE: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_growing_over_wraps() {
        let mut extender = Extender::new();
        assert_eq!(extender.highest(), None);
        let start = extender.extend(65_000);
        for step in 1..200_000_u64 {
            assert_eq!(extender.extend((65_000 + step) as u16), start + step);
        }
    }

    #[test]
    fn reordering_before_the_first_does_not_underflow() {
        let mut extender = Extender::new();
        assert_eq!(extender.extend(0), 65_536);
        assert_eq!(extender.extend(65_535), 65_535);
        assert_eq!(extender.peek(32_768), 32_768);
        assert_eq!(extender.highest(), Some(65_536));
    }

    #[test]
    fn late_packets_keep_their_cycle_and_peek_remembers_nothing() {
        let mut extender = Extender::new();
        extender.extend(65_535);
        let wrapped = extender.extend(2);
        assert_eq!(wrapped, 131_074);
        assert_eq!(extender.extend(65_534), 131_070);
        assert_eq!(extender.peek(100), 131_172);
        assert_eq!(extender.highest(), Some(wrapped));
    }
}
