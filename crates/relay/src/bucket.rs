//! Token buckets that hold one number: when the tokens taken so far will have come back (GCRA).

/// Nanoseconds since the relay's start.
pub(crate) type Nanos = u64;

/// What a second gives, and with it what may be taken at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Nanoseconds per token, times `SCALE`. None: nothing may be taken.
    scaled: Option<u64>,
}

impl Rate {
    pub(crate) fn per_second(tokens: u64) -> Self {
        Self { scaled: (SECOND * SCALE).checked_div(tokens) }
    }

    /// How long `tokens` take to come back.
    #[inline]
    fn cost(self, tokens: u64) -> Option<Nanos> {
        Some((u128::from(tokens) * u128::from(self.scaled?)).div_ceil(u128::from(SCALE)) as Nanos)
    }
}

/// One bucket; full at first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    full_at: Nanos,
}

impl Bucket {
    /// Whether anything may be taken. The last taken may be larger than what is left, once.
    #[inline]
    pub(crate) fn has_any(self, now: Nanos, rate: Rate) -> bool {
        rate.scaled.is_some() && self.full_at < now + SECOND
    }

    /// Takes what `has_any` allowed.
    #[inline]
    pub(crate) fn take(&mut self, now: Nanos, rate: Rate, tokens: u64) {
        if let Some(cost) = rate.cost(tokens) {
            self.full_at = self.full_at.max(now).saturating_add(cost);
        }
    }

    /// Whether there was something to take; then it is taken.
    #[inline]
    pub(crate) fn try_take(&mut self, now: Nanos, rate: Rate, tokens: u64) -> bool {
        let may = self.has_any(now, rate);
        if may {
            self.take(now, rate, tokens);
        }
        may
    }

    /// Puts back what was taken.
    pub(crate) fn put_back(&mut self, rate: Rate, tokens: u64) {
        self.full_at = self.full_at.saturating_sub(rate.cost(tokens).unwrap_or(0));
    }
}

const SECOND: Nanos = 1_000_000_000;
/// Bytes come faster than one a nanosecond.
const SCALE: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, now: Nanos, rate: Rate, tokens: u64) -> usize {
        (0..10_000).take_while(|_| bucket.try_take(now, rate, tokens)).count()
    }

    #[test]
    fn a_second_gives_what_the_rate_says_and_saves_no_more() {
        let (mut bucket, rate) = (Bucket::default(), Rate::per_second(50));
        assert_eq!(taken(&mut bucket, 0, rate, 1), 50);
        assert_eq!(taken(&mut bucket, SECOND / 10, rate, 1), 5);
        assert_eq!(taken(&mut bucket, 100 * SECOND, rate, 1), 50);
    }

    #[test]
    fn fast_rates_are_exact() {
        let (mut bucket, rate) = (Bucket::default(), Rate::per_second(12_500_000_000));
        assert!((10_410..10_425).contains(&(0..20_000).take_while(|_| bucket.try_take(0, rate, 1_200_000)).count()));
    }

    #[test]
    fn what_is_put_back_may_be_taken_again() {
        let (mut bucket, rate) = (Bucket::default(), Rate::per_second(2));
        assert_eq!(taken(&mut bucket, 5, rate, 1), 2);
        bucket.put_back(rate, 1);
        assert_eq!(taken(&mut bucket, 5, rate, 1), 1);
    }

    #[test]
    fn a_rate_of_nothing_gives_nothing() {
        assert!(!Bucket::default().try_take(7, Rate::per_second(0), 1));
    }
}
