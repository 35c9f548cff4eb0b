//! Conversions of the one time that is handed in: to microseconds since the start and to NTP (RFC 3550 section 4).

use std::time::{Duration, Instant};

/// 32.32 fixed point seconds since 1900, wrapping.
pub(crate) type Ntp = u64;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    unix_at_start: Duration,
}

impl Clock {
    pub(crate) fn new(start: Instant, unix_at_start: Duration) -> Self {
        Self { start, unix_at_start }
    }

    /// Microseconds since the start; 0 before it.
    #[inline]
    pub(crate) fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_micros() as u64
    }

    pub(crate) fn ntp(&self, at: Instant) -> Ntp {
        let unix = self.unix_at_start + at.saturating_duration_since(self.start);
        let seconds = unix.as_secs().wrapping_add(UNIX_EPOCH_IN_NTP);
        (seconds << 32) | ((u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000)
    }

    /// What abs-send-time counts: anything that grows with the wall clock.
    #[inline]
    pub(crate) fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }
}

/// The middle 32 bits, as LSR fields carry them.
pub(crate) fn ntp_middle(ntp: Ntp) -> u32 {
    (ntp >> 16) as u32
}

/// `later - earlier` in ticks of a media clock, exact for differences up to hours; negative when `later` is earlier.
pub(crate) fn ntp_ticks_between(later: Ntp, earlier: Ntp, clock_rate: u32) -> i64 {
    let difference = i128::from(later.wrapping_sub(earlier) as i64);
    ((difference * i128::from(clock_rate)) >> 32) as i64
}

/// A duration in units of 1/65536 s, as DLSR fields carry it.
pub(crate) fn ntp_short(duration: Duration) -> u32 {
    ((duration.as_nanos() << 16) / 1_000_000_000) as u32
}

/// The reverse of [`ntp_short`].
pub(crate) fn from_ntp_short(short: u32) -> Duration {
    Duration::from_nanos((u64::from(short) * 1_000_000_000) >> 16)
}

// Seconds from 1900 to 1970.
const UNIX_EPOCH_IN_NTP: u64 = 2_208_988_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_counts_from_1900_and_ticks_follow_the_clock_rate() {
        let start = Instant::now();
        let clock = Clock::new(start, Duration::from_secs(1));
        let earlier = clock.ntp(start);
        assert_eq!(earlier, (UNIX_EPOCH_IN_NTP + 1) << 32);
        let later = clock.ntp(start + Duration::from_millis(250));
        assert_eq!(ntp_ticks_between(later, earlier, 48_000), 12_000);
        assert_eq!(ntp_ticks_between(earlier, later, 90_000), -22_500);
        assert_eq!(ntp_middle(later).wrapping_sub(ntp_middle(earlier)), ntp_short(Duration::from_millis(250)));
        assert_eq!(from_ntp_short(ntp_short(Duration::from_millis(250))), Duration::from_millis(250));
    }
}
