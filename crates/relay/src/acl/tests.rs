//! What is denied stays denied in every notation, whatever else is allowed.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::{MediaAddress, PermissionRule, RelayHost};

fn open_to(rules: &[&str]) -> Configuration {
    let rule = |text: &&str| {
        let (address, bits) = text.split_once('/').unwrap();
        PermissionRule { address: address.parse().unwrap(), prefix_len: bits.parse().unwrap() }
    };
    Configuration { allow_peers: rules.iter().map(rule).collect(), ..Configuration::default() }
}

fn everything() -> Configuration {
    open_to(&["0.0.0.0/0", "::/0"])
}

fn judge(configuration: &Configuration, host: &str, port: u16) -> Verdict {
    Acl::new(configuration).judge(canonical(SocketAddr::new(host.parse().unwrap(), port)))
}

/// H-26 and H-27, and their neighbours.
const NEVER_V4: [&str; 24] = [
    "0.0.0.0",
    "0.255.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "192.0.0.1",
    "192.0.0.255",
    "192.0.2.1",
    "192.0.2.255",
    "192.88.99.1",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
    "0.0.0.1",
    "127.0.0.53",
    "198.18.0.1",
];
const NEVER_V6: [&str; 26] = [
    "::",
    "::1",
    "::2",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "::ffff:0:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "64:ff9b:1:ffff::1",
    "100::1",
    "2001::1",
    "2001:0:808:808:0:0:f7f7:f7f7",
    "2001:2::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "2a00::5efe:8.8.8.8",
];

#[test]
fn what_is_never_a_peer_is_none_even_when_everything_is_allowed() {
    for host in NEVER_V4.iter().chain(&NEVER_V6) {
        assert_eq!(judge(&everything(), host, 5000), Verdict::Denied, "{host}");
        let acl = Acl::new(&everything());
        let host = host.parse::<IpAddr>().unwrap().to_canonical();
        assert_eq!(acl.reach(host), Reach { media: false, beyond: false }, "{host}");
        assert!(!acl.may_be_permitted(SocketAddr::new(host, 5000)), "{host}");
    }
}

#[test]
fn their_neighbours_are_peers_when_they_are_allowed() {
    for host in [
        "1.0.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.101.0",
        "203.0.112.255",
        "223.255.255.255",
        "2001:200::1",
        "2001:db7:ffff::1",
        "2001:db9::",
        "2003::1",
        "2a00:1450::1",
        "2002:808:808::1",
        "64:ff9b::808:808",
        "::ffff:8.8.8.8",
        "fd00::1",
    ] {
        assert_eq!(judge(&everything(), host, 5000), Verdict::Peer, "{host}");
    }
}

#[test]
fn nothing_is_a_peer_unless_it_is_allowed() {
    for host in ["8.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "2a00::1", "fd00::1"] {
        assert_eq!(judge(&Configuration::default(), host, 5000), Verdict::Denied, "{host}");
        assert_eq!(judge(&open_to(&["9.0.0.0/8", "fc00::/8"]), host, 5000), Verdict::Denied, "{host}");
    }
}

#[test]
fn private_networks_are_peers_when_they_are_allowed() {
    let private = open_to(&["10.0.0.0/8", "100.64.0.0/10", "fd00::/8"]);
    for host in ["10.0.0.1", "::ffff:10.2.3.4", "100.127.255.255", "fd12::1", "64:ff9b::a00:1", "2002:a00:1::5"] {
        assert_eq!(judge(&private, host, 5000), Verdict::Peer, "{host}");
    }
    for host in ["11.0.0.1", "192.168.0.1", "100.128.0.0", "64:ff9b::808:808", "2002:808:808::", "fc12::1"] {
        assert_eq!(judge(&private, host, 5000), Verdict::Denied, "{host}");
    }
}

/// Every way to write an IPv4 address within an IPv6 address.
fn encodings(ip: Ipv4Addr) -> Vec<IpAddr> {
    let word = u128::from(ip.to_bits());
    let teredo = 0x2001_u128 << 112;
    let suffixes = [0, 1, u128::from(u64::MAX)];
    let mut encodings = vec![
        0xffff << 32 | word,
        word,
        0xffff << 48 | word,
        0x0064_ff9b << 96 | word,
        0x0064_ff9b_0001 << 80 | word,
        // RFC 6052 section 2.2 for a prefix of 48 bits: the octets stand around the 64th.
        0x0064_ff9b_0001 << 80 | (word >> 16) << 64 | (word & 0xffff) << 40,
        teredo | word << 64,
        teredo | (word ^ 0xffff_ffff),
        0xfe80 << 112 | 0x5efe << 32 | word,
        0x2a00 << 112 | 0x5efe << 32 | word,
        0x2a00 << 112 | 0x0200_5efe << 32 | word,
    ];
    encodings.extend(suffixes.map(|suffix| 0x2002 << 112 | word << 80 | suffix));
    encodings.into_iter().map(|bits| Ipv6Addr::from_bits(bits).into()).chain([ip.into()]).collect()
}

#[test]
fn every_encoding_of_a_denied_address_is_denied() {
    let configuration = open_to(&["8.0.0.0/8", "10.0.0.0/8", "::/0"]);
    let acl = Acl::new(&configuration);
    let mut random = 0x9e37_79b9_u32;
    for number in 0..100_000_u32 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Every first octet often, and the rest at random.
        let ip = Ipv4Addr::from_bits(number << 24 | random >> 8);
        let plain = acl.judge(SocketAddr::new(ip.into(), 9));
        for encoding in encodings(ip) {
            let verdict = acl.judge(canonical(SocketAddr::new(encoding, 9)));
            assert!(verdict == Verdict::Denied || verdict == plain, "{ip} as {encoding}: {plain:?} and {verdict:?}");
            assert_eq!(acl.reach(encoding.to_canonical()).beyond, verdict == Verdict::Peer);
        }
        assert_eq!(plain == Verdict::Peer, matches!(ip.octets()[0], 8 | 10));
    }
}

fn own() -> Configuration {
    let media = |address: &str, shard| MediaAddress { address: address.parse().unwrap(), shard };
    Configuration {
        relay_hosts: vec![RelayHost { bind: "10.0.0.5".parse().unwrap(), advertised: "8.0.0.5".parse().unwrap() }],
        relay_ports: (50_000, 50_999),
        media: vec![
            media("127.0.0.1:7882", 0),
            media("8.0.0.5:7882", 0),
            media("8.0.0.5:7883", 1),
            media("[fe80::1]:7882", 1),
        ],
        deny_peers: vec!["8.0.0.5:3478".parse().unwrap(), "0.0.0.0:7880".parse().unwrap()],
        ..everything()
    }
}

#[test]
fn media_sockets_are_peers_at_their_very_addresses_only() {
    for (host, port, verdict) in [
        ("127.0.0.1", 7882, Verdict::Media(0)),
        ("::ffff:127.0.0.1", 7882, Verdict::Media(0)),
        ("127.0.0.1", 7883, Verdict::Denied),
        ("64:ff9b::7f00:1", 7882, Verdict::Denied),
        ("8.0.0.5", 7882, Verdict::Media(0)),
        ("8.0.0.5", 7883, Verdict::Media(1)),
        ("8.0.0.5", 7884, Verdict::Peer),
        ("fe80::1", 7882, Verdict::Media(1)),
        ("fe80::1", 7881, Verdict::Denied),
    ] {
        assert_eq!(judge(&own(), host, port), verdict, "{host} {port}");
    }
    let acl = Acl::new(&own());
    assert_eq!(acl.reach("127.0.0.1".parse().unwrap()), Reach { media: true, beyond: false });
    assert_eq!(acl.reach("8.0.0.5".parse().unwrap()), Reach { media: true, beyond: true });
    assert!(acl.may_be_permitted("127.0.0.1:9".parse().unwrap()), "a permission is for every port of a host");
}

#[test]
fn our_own_listeners_and_relayed_addresses_are_no_peers() {
    for host in ["8.0.0.5", "10.0.0.5", "::ffff:8.0.0.5", "64:ff9b::800:5", "2002:800:5::1"] {
        for port in [50_000, 50_500, 50_999] {
            assert_eq!(judge(&own(), host, port), Verdict::Denied, "{host} {port}");
            let address = canonical(SocketAddr::new(host.parse().unwrap(), port));
            assert!(!Acl::new(&own()).may_be_permitted(address), "{address}");
        }
        for port in [49_999, 51_000] {
            assert_eq!(judge(&own(), host, port), Verdict::Peer, "{host} {port}");
        }
        assert_eq!(judge(&own(), host, 7880), Verdict::Denied, "a listener at every address");
    }
    assert_eq!(judge(&own(), "8.0.0.5", 3478), Verdict::Denied);
    assert_eq!(judge(&own(), "8.0.0.6", 3478), Verdict::Peer);
    assert_eq!(judge(&own(), "8.0.0.6", 50_500), Verdict::Peer, "somebody else's port");
    assert_eq!(judge(&own(), "8.0.0.6", 0), Verdict::Denied, "nobody is at port 0");
}
