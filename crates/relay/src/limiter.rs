//! What strangers may cost: a token bucket per network, in a table of one size. Networks that meet in a slot share it; nothing
//! is allocated for any of them.

use std::hash::BuildHasher;
use std::net::IpAddr;

use crate::bucket::{Bucket, Nanos, Rate};
use crate::hash::HashKey;

/// IPv4 addresses count by /24, IPv6 addresses by /56.
pub(crate) struct Limiter {
    buckets: Box<[Bucket]>,
    key: HashKey,
    rate: Rate,
}

impl Limiter {
    pub(crate) fn new(key: HashKey) -> Self {
        Self { buckets: vec![Bucket::default(); SLOTS].into(), key, rate: Rate::per_second(0) }
    }

    pub(crate) fn configure(&mut self, per_s: u32) {
        self.rate = Rate::per_second(u64::from(per_s));
    }

    /// Whether one more answer may go to this address' network.
    pub(crate) fn admit(&mut self, now: Nanos, source: IpAddr) -> bool {
        let rate = self.rate;
        self.bucket(source).try_take(now, rate, 1)
    }

    /// It was no stranger.
    pub(crate) fn refund(&mut self, source: IpAddr) {
        let rate = self.rate;
        self.bucket(source).put_back(rate, 1);
    }

    fn bucket(&mut self, source: IpAddr) -> &mut Bucket {
        let slot = self.key.hash_one(network(source)) as usize % SLOTS;
        &mut self.buckets[slot]
    }
}

fn network(source: IpAddr) -> u64 {
    match source.to_canonical() {
        IpAddr::V4(ip) => u64::from(ip.to_bits() >> 8),
        // Never 0 in front: no IPv4 network looks like it.
        IpAddr::V6(ip) => ((ip.to_bits() >> 72) as u64) | 1 << 63,
    }
}

/// 128 KiB. To close every slot to honest clients takes as many requests a second as these times the rate.
const SLOTS: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_s: u32) -> Limiter {
        let mut limiter = Limiter::new(HashKey::new([3; 16]));
        limiter.configure(per_s);
        limiter
    }

    fn admitted(limiter: &mut Limiter, sources: &[&str]) -> usize {
        sources.iter().filter(|source| limiter.admit(0, source.parse().unwrap())).count()
    }

    #[test]
    fn the_addresses_of_a_network_share_its_bucket() {
        let mut limiter = limiter(2);
        assert_eq!(admitted(&mut limiter, &["192.0.2.1", "192.0.2.77", "192.0.2.255", "::ffff:192.0.2.9"]), 2);
        assert_eq!(admitted(&mut limiter, &["2001:db8:0:1200::1", "2001:db8:0:12ff::", "2001:db8:0:1234::"]), 2);
        assert_eq!(admitted(&mut limiter, &["192.0.3.1", "2001:db8:0:1300::1"]), 2);
    }

    #[test]
    fn who_was_no_stranger_costs_nothing() {
        let mut limiter = limiter(1);
        let source = "198.51.100.1".parse().unwrap();
        for _ in 0..100 {
            assert!(limiter.admit(0, source));
            limiter.refund(source);
        }
    }

    #[test]
    fn a_million_networks_take_no_more_room_than_one() {
        let mut limiter = limiter(5);
        let admitted =
            (0..1_000_000_u32).filter(|number| limiter.admit(0, IpAddr::from((number << 8).to_be_bytes()))).count();
        assert!(admitted <= 5 * SLOTS);
        assert_eq!(size_of_val(&*limiter.buckets), 128 << 10);
    }
}
