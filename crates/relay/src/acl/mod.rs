//! Who may be a peer: the one place that says so. Our own media addresses by exact match; else nothing of what is never
//! allowed, nothing that is ours, and of the rest what the configuration allows.

mod never;
mod ranges;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ranges::{MAPPED, Ranges};

use crate::Configuration;

/// What an address is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A media socket of this process, of that shard.
    Media(u32),
    /// Somebody whom the configuration allows.
    Peer,
    Denied,
}

/// What may be behind a host's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// A media socket of this process.
    pub(crate) media: bool,
    /// Peers that take a relay socket.
    pub(crate) beyond: bool,
}

/// Compiled from a configuration. Addresses are canonical, see [`canonical`].
#[derive(Debug)]
pub(crate) struct Acl {
    media: Vec<(SocketAddr, u32)>,
    never: Ranges,
    allowed: Ranges,
    /// Our own listeners.
    listeners: Vec<(u128, u16)>,
    /// Where relay sockets may be, on whichever side of a NAT.
    relay_hosts: Vec<u128>,
    relay_ports: (u16, u16),
}

impl Acl {
    pub(crate) fn new(configuration: &Configuration) -> Self {
        let mut media: Vec<(SocketAddr, u32)> =
            configuration.media.iter().map(|media| (canonical(media.address), media.shard)).collect();
        media.sort_unstable();
        let hosts = configuration.relay_hosts.iter().flat_map(|host| [host.bind, host.advertised]);
        let relay_hosts: Vec<u128> = hosts.map(number).collect();
        Self {
            listeners: listeners(configuration, &media, &relay_hosts),
            media,
            never: Ranges::new(never::NEVER),
            allowed: Ranges::of_rules(&configuration.allow_peers),
            relay_hosts,
            relay_ports: configuration.relay_ports,
        }
    }

    /// Of one address with its port.
    pub(crate) fn judge(&self, address: SocketAddr) -> Verdict {
        if let Some(shard) = self.media_shard(address) {
            return Verdict::Media(shard);
        }
        match self.allowed_host(address.ip()) {
            Some(host) if address.port() != 0 && !self.is_ours(host, address.port()) => Verdict::Peer,
            _ => Verdict::Denied,
        }
    }

    /// Of all ports of a host.
    pub(crate) fn reach(&self, host: IpAddr) -> Reach {
        let first = self.media.partition_point(|(address, _)| address.ip() < host);
        let media = self.media.get(first).is_some_and(|(address, _)| address.ip() == host);
        Reach { media, beyond: self.allowed_host(host).is_some() }
    }

    /// A permission is for all ports of a host, whichever port is named. But nobody gets one by naming a port of ours.
    pub(crate) fn may_be_permitted(&self, address: SocketAddr) -> bool {
        if self.media_shard(address).is_some() {
            return true;
        }
        let ours = embedded(address.ip()).is_none_or(|host| self.is_ours(host, address.port()));
        !ours && self.reach(address.ip()).any()
    }

    fn media_shard(&self, address: SocketAddr) -> Option<u32> {
        let at = self.media.partition_point(|(media, _)| *media < address);
        self.media.get(at).filter(|(media, _)| *media == address).map(|(_, shard)| *shard)
    }

    fn allowed_host(&self, host: IpAddr) -> Option<u128> {
        embedded(host).filter(|host| !self.never.contains(*host) && self.allowed.contains(*host))
    }

    fn is_ours(&self, host: u128, port: u16) -> bool {
        let (first, last) = self.relay_ports;
        let relayed = (first..=last).contains(&port) && self.relay_hosts.contains(&host);
        relayed || self.listeners.binary_search(&(host, port)).is_ok()
    }
}

impl Reach {
    pub(crate) fn any(self) -> bool {
        self.media || self.beyond
    }
}

/// One form per address: IPv4 as such, IPv6 without scope and flow.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A listener at the unspecified address is at every address that is known as ours.
fn listeners(configuration: &Configuration, media: &[(SocketAddr, u32)], relay_hosts: &[u128]) -> Vec<(u128, u16)> {
    let own: Vec<u128> = media.iter().map(|(media, _)| number(media.ip())).chain(relay_hosts.iter().copied()).collect();
    let mut listeners: Vec<(u128, u16)> = Vec::new();
    for address in &configuration.deny_peers {
        if address.ip().is_unspecified() {
            listeners.extend(own.iter().map(|host| (*host, address.port())));
        } else {
            listeners.push((number(address.ip()), address.port()));
        }
    }
    listeners.sort_unstable();
    listeners.dedup();
    listeners
}

/// One number space for both families: IPv4 is where its mapped form is.
#[inline]
pub(crate) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The address that counts: of an IPv6 address that stands for one of IPv4, that one. None: for which one is not certain.
/// Teredo, the local NAT64 prefix and the forms that nobody uses any more are among what is never allowed.
fn embedded(ip: IpAddr) -> Option<u128> {
    let address = number(ip);
    if (MAPPED.0..=MAPPED.1).contains(&address) {
        return Some(address);
    }
    if (address >> 32) as u32 & !ISATAP_UNIVERSAL == ISATAP {
        return None;
    }
    let v4 = if address >> 32 == NAT64 {
        address as u32
    } else if address >> 112 == SIX_TO_FOUR {
        (address >> 80) as u32
    } else {
        return Some(address);
    };
    Some(number(Ipv4Addr::from_bits(v4).into()))
}

/// RFC 6052: `64:ff9b::/96`.
const NAT64: u128 = 0x0064_ff9b << 64;
/// RFC 3056: `2002::/16`.
const SIX_TO_FOUR: u128 = 0x2002;
/// RFC 5214 section 6.1: third quarter of the address, with or without the universal bit; an IPv4 address follows.
const ISATAP: u32 = 0x0000_5efe;
const ISATAP_UNIVERSAL: u32 = 0x0200_0000;

#[cfg(test)]
mod tests;
