//! How many connections there are of each address.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::tcp::source;

/// An IPv4 address, or the network that one IPv6 customer has, counts as one.
#[derive(Default)]
pub(super) struct Sources {
    counts: HashMap<IpAddr, usize>,
}

impl Sources {
    /// False, and not counted, when there are `limit` already.
    pub(super) fn add(&mut self, address: IpAddr, limit: usize) -> bool {
        let source = source(address);
        let count = self.counts.get(&source).copied().unwrap_or(0);
        if count < limit {
            self.counts.insert(source, count + 1);
        }
        count < limit
    }

    pub(super) fn remove(&mut self, address: IpAddr) {
        let source = source(address);
        match self.counts.get_mut(&source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                self.counts.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_network_has_its_limit_and_gets_it_back() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut sources = Sources::default();
        assert!(sources.add(address("192.0.2.1"), 2) && sources.add(address("192.0.2.1"), 2));
        assert!(!sources.add(address("192.0.2.1"), 2) && sources.add(address("192.0.2.2"), 2));
        assert!(sources.add(address("2001:db8::1"), 2) && sources.add(address("2001:db8::2"), 2));
        assert!(!sources.add(address("2001:db8::3"), 2) && sources.add(address("2001:db8:0:1::3"), 2));
        sources.remove(address("2001:db8::9"));
        assert!(sources.add(address("2001:db8::3"), 2) && !sources.add(address("2001:db8::4"), 2));
        for _ in 0..2 {
            sources.remove(address("2001:db8::1"));
            sources.remove(address("192.0.2.1"));
        }
        sources.remove(address("192.0.2.2"));
        sources.remove(address("2001:db8:0:1::1"));
        assert!(sources.counts.is_empty());
    }
}
