//! One-way latencies, kept one by one: a window has some hundred thousand at most.

use std::time::Duration;

use serde::Serialize;

/// Those of a window. Outside of one, none are kept.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    nanos: Vec<u32>,
    open: bool,
}

/// What a report says of them, in microseconds. Nothing was measured where `count` is 0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    pub(crate) count: usize,
}

impl Latencies {
    /// A window begins.
    pub(crate) fn open() -> Self {
        Self { nanos: Vec::new(), open: true }
    }

    /// Above four seconds they all count as that.
    pub(crate) fn add(&mut self, latency: Duration) {
        if !self.open {
            return;
        }
        self.nanos.push(u32::try_from(latency.as_nanos()).unwrap_or(u32::MAX));
    }

    /// The window ends.
    pub(crate) fn close(&mut self) -> Quantiles {
        let Self { mut nanos, .. } = std::mem::take(self);
        nanos.sort_unstable();
        let at = |share: f64| {
            let rank = (share * nanos.len().saturating_sub(1) as f64).round() as usize;
            nanos.get(rank).map_or(0.0, |nanos| f64::from(*nanos) / 1e3)
        };
        Quantiles { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0), count: nanos.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_rank() {
        let mut latencies = Latencies::open();
        for micros in (0..=1_000).rev() {
            latencies.add(Duration::from_micros(micros));
        }
        let expected = Quantiles { p50: 500.0, p99: 990.0, p999: 999.0, max: 1_000.0, count: 1_001 };
        assert_eq!(latencies.close(), expected);
        latencies.add(Duration::from_micros(1));
        assert_eq!(latencies.close(), Quantiles::default());
    }
}
