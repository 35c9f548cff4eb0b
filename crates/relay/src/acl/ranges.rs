//! Sets of addresses as 128-bit numbers: sorted, disjoint ranges.

use std::net::Ipv6Addr;

use crate::PermissionRule;

/// First and last address.
pub(super) type Range = (u128, u128);

/// A set of addresses. IPv4 stands where its mapped form is, and nowhere else.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    pub(super) fn new(ranges: impl IntoIterator<Item = Range>) -> Self {
        let mut sorted: Vec<Range> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// CIDRs. One of IPv6 that is wider than all of IPv4 does not mean IPv4.
    pub(super) fn of_rules(rules: &[PermissionRule]) -> Self {
        Self::new(rules.iter().flat_map(|rule| {
            let address = super::number(rule.address);
            let bits = if rule.address.is_ipv4() { rule.prefix_len.min(32) + 96 } else { rule.prefix_len.min(128) };
            let (first, last) = cidr(address, bits);
            if bits >= 96 {
                return vec![(first, last)];
            }
            // Both ends are outside of the mapped range, or it has no address in common with this one.
            let below = (first, last.min(MAPPED.0 - 1));
            let above = (first.max(MAPPED.1 + 1), last);
            [below, above].into_iter().filter(|(first, last)| first <= last).collect()
        }))
    }

    #[inline]
    pub(super) fn contains(&self, address: u128) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= address);
        behind.checked_sub(1).is_some_and(|at| address <= self.0[at].1)
    }
}

pub(super) const fn cidr(address: u128, bits: u8) -> Range {
    let host = if bits == 0 { u128::MAX } else { !(u128::MAX << (128 - bits as u32)) };
    (address & !host, address | host)
}

/// A CIDR of IPv4.
pub(super) const fn v4(octets: [u8; 4], bits: u8) -> Range {
    cidr(MAPPED.0 | u32::from_be_bytes(octets) as u128, 96 + bits)
}

/// A CIDR of IPv6 by its first four groups.
pub(super) const fn v6(groups: [u16; 4], bits: u8) -> Range {
    let [a, b, c, d] = groups;
    cidr(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_bits(), bits)
}

/// `::ffff:0:0/96`, where IPv4 is.
pub(super) const MAPPED: Range = cidr(0xffff << 32, 96);

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> PermissionRule {
        let (address, bits) = text.split_once('/').unwrap();
        PermissionRule { address: address.parse().unwrap(), prefix_len: bits.parse().unwrap() }
    }

    fn contains(rules: &[&str], address: &str) -> bool {
        let rules: Vec<PermissionRule> = rules.iter().map(|text| rule(text)).collect();
        Ranges::of_rules(&rules).contains(super::super::number(address.parse().unwrap()))
    }

    #[test]
    fn first_and_last_address_are_in_and_their_neighbours_are_not() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("10.1.2.3/32", ["10.1.2.3", "10.1.2.3"], ["10.1.2.2", "10.1.2.4"]),
            ("fd00::/8", ["fd00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], ["fcff::", "fe00::"]),
            ("10.9.9.9/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
        ] {
            assert!(inside.iter().all(|address| contains(&[text], address)), "{text}");
            assert!(!outside.iter().any(|address| contains(&[text], address)), "{text}");
        }
    }

    #[test]
    fn everything_of_one_family_is_nothing_of_the_other() {
        for address in ["0.0.0.0", "8.8.8.8", "255.255.255.255"] {
            assert!(contains(&["0.0.0.0/0"], address));
            assert!(!contains(&["::/0"], address));
        }
        for address in ["::", "2a00::1", "ffff:ffff::", "::fffe:ffff:ffff", "::1:0:0:0"] {
            assert!(contains(&["::/0"], address));
            assert!(!contains(&["0.0.0.0/0"], address));
        }
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        let rules = ["10.0.0.0/9", "10.128.0.0/9", "10.64.0.0/16", "172.16.0.0/12"].map(rule);
        assert_eq!(Ranges::of_rules(&rules).0.len(), 2);
    }
}
