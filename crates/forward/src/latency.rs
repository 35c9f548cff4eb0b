//! A histogram of forward latency with power-of-two bounds, so that one sample costs one shift.

use std::time::Duration;

/// Counts per bucket; bucket `i` holds what is at most `2^(i + 5)` microseconds, the last one everything above.
#[derive(Debug, Clone, Default)]
pub struct LatencyHistogram {
    buckets: [u64; BUCKETS],
    sum_us: u64,
}

impl LatencyHistogram {
    /// Adds one sample.
    #[inline]
    pub fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let ceil_log2 = 64 - us.saturating_sub(1).leading_zeros();
        let bucket = ceil_log2.saturating_sub(FIRST_LOG2) as usize;
        self.buckets[bucket.min(BUCKETS - 1)] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Upper bound in microseconds (`None` for the last, unbounded one) and cumulative count.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let mut total = 0;
        self.buckets.iter().enumerate().map(move |(i, count)| {
            total += count;
            ((i + 1 < BUCKETS).then(|| 1 << (i as u32 + FIRST_LOG2)), total)
        })
    }

    /// Sum of all samples in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }
}

// From 32 us, less than one kernel wake-up, to 524 ms, which nobody calls a conversation; and one for the rest.
const FIRST_LOG2: u32 = 5;
const BUCKETS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_lands_in_the_smallest_bucket_that_holds_it() {
        let mut histogram = LatencyHistogram::default();
        for us in [0, 32, 33, 64, 65, 10_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let counts: Vec<_> = histogram.cumulative().collect();
        assert_eq!(counts[..3], [(Some(32), 2), (Some(64), 4), (Some(128), 5)]);
        assert_eq!(counts[BUCKETS - 1], (None, 6));
        assert_eq!(histogram.sum_us(), 10_000_194);
    }
}
