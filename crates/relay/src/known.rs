//! The peers that an allocation has sent to without a channel, as hashes: whoever is not among them is new, and costs.

/// Bounded; the newest take the place of others.
#[derive(Debug, Default)]
pub(crate) struct KnownPeers(Vec<u64>);

impl KnownPeers {
    pub(crate) fn contains(&self, peer: u64) -> bool {
        self.0.binary_search(&peer).is_ok()
    }

    pub(crate) fn insert(&mut self, peer: u64) {
        if self.0.len() >= KNOWN_MAX {
            // Whichever a hash picks: with more peers than these it is a matter of luck whom one pays for again.
            self.0.remove(peer as usize % KNOWN_MAX);
        }
        if let Err(at) = self.0.binary_search(&peer) {
            crate::channels::insert_tightly(&mut self.0, at, peer);
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}

/// As many as an allocation may have permissions.
const KNOWN_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_known_and_the_number_is_bounded() {
        let mut known = KnownPeers::default();
        for number in 0..10_000_u64 {
            let peer = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert!(!known.contains(peer));
            known.insert(peer);
            assert!(known.contains(peer));
            assert!(known.0.len() <= KNOWN_MAX);
        }
    }
}
