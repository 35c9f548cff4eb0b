//! One allocation as the relay sees it: relayed addresses, permissions, channels, limits and counts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::acl::{Acl, Reach, Verdict};
use crate::bucket::{Bucket, Nanos, Rate};
use crate::channels::{Channels, insert_tightly};
use crate::counters::Dropped;
use crate::known::KnownPeers;
use crate::{
    AllocationId, AllocationLimits, AllocationStats, ClientAddress, Family, InstallAllocation, Route, RouteCounters,
    SocketId,
};

/// Everything that one client's relaying needs.
pub(crate) struct Allocation {
    pub(crate) id: AllocationId,
    pub(crate) dont_fragment: bool,
    /// IPv4, IPv6.
    relayed: [Option<Relayed>; 2],
    permissions: Vec<Permission>,
    pub(crate) channels: Channels,
    known: KnownPeers,
    meter: Meter,
    stats: Stats,
    route_counters: Option<Arc<RouteCounters>>,
}

/// A relayed address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relayed {
    pub(crate) address: SocketAddr,
    pub(crate) socket: Option<SocketId>,
    /// Whether media sockets were told the way.
    pub(crate) routed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Permission {
    host: IpAddr,
    reach: Reach,
}

/// Where what is for a peer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Media(u32),
    Socket(SocketId),
    NotPermitted,
    Denied,
    /// No relayed address of that family, or no socket.
    Unreachable,
}

/// The way of one packet from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Media { shard: u32, relayed: SocketAddr },
    Socket(SocketId),
}

struct Meter {
    rates: [Rate; 3],
    packets: Bucket,
    bytes: Bucket,
    new_peers: Bucket,
    requests: Bucket,
}

#[derive(Default)]
struct Stats {
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
    zero_hop_packets: u64,
}

impl Allocation {
    /// Of a family's relayed addresses the last one counts.
    pub(crate) fn new(install: &InstallAllocation) -> Self {
        let mut relayed = [None; 2];
        for address in &install.relayed {
            let address = crate::acl::canonical(*address);
            relayed[family_of(address.ip()) as usize] = Some(Relayed { address, socket: None, routed: false });
        }
        Self {
            id: install.allocation,
            dont_fragment: install.dont_fragment,
            relayed,
            permissions: Vec::new(),
            channels: Channels::default(),
            known: KnownPeers::default(),
            meter: Meter::new(install.limits),
            stats: Stats::default(),
            route_counters: None,
        }
    }

    pub(crate) fn relayed(&self, family: Family) -> Option<&Relayed> {
        self.relayed[family as usize].as_ref()
    }

    pub(crate) fn relayed_mut(&mut self, family: Family) -> Option<&mut Relayed> {
        self.relayed[family as usize].as_mut()
    }

    pub(crate) fn take_relayed(&mut self, family: Family) -> Option<Relayed> {
        self.relayed[family as usize].take()
    }

    pub(crate) fn relayed_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.relayed.iter().flatten().map(|relayed| relayed.address)
    }

    // ---- permissions

    pub(crate) fn permit(&mut self, host: IpAddr, reach: Reach) {
        match self.find(host) {
            Ok(at) => self.permissions[at].reach = reach,
            Err(at) => insert_tightly(&mut self.permissions, at, Permission { host, reach }),
        }
    }

    pub(crate) fn forbid(&mut self, host: IpAddr) -> bool {
        self.find(host).map(|at| self.permissions.remove(at)).is_ok()
    }

    pub(crate) fn permission_count(&self) -> usize {
        self.permissions.len()
    }

    fn find(&self, host: IpAddr) -> Result<usize, usize> {
        self.permissions.binary_search_by(|permission| permission.host.cmp(&host))
    }

    /// The rules have changed. Families that need a socket now and have none come back.
    pub(crate) fn rejudge(&mut self, acl: &Acl) -> impl Iterator<Item = Family> + use<> {
        let mut wanted = [false; 2];
        for permission in &mut self.permissions {
            permission.reach = acl.reach(permission.host);
            wanted[family_of(permission.host) as usize] |= permission.reach.beyond;
        }
        let missing = |family| wanted[family as usize] && self.relayed(family).is_some_and(|one| one.socket.is_none());
        let missing = [Family::V4, Family::V6].map(|family| missing(family).then_some(family));
        missing.into_iter().flatten()
    }

    /// Permissions, sockets or rules have changed: where each channel leads.
    pub(crate) fn retarget(&mut self, acl: &Acl) {
        let mut channels = std::mem::take(&mut self.channels);
        for channel in channels.iter_mut() {
            channel.target = self.target(acl, channel.peer);
        }
        self.channels = channels;
    }

    fn target(&self, acl: &Acl, peer: SocketAddr) -> Target {
        if self.find(peer.ip()).is_err() {
            return Target::NotPermitted;
        }
        let Some(relayed) = self.relayed(family_of(peer.ip())) else {
            return Target::Unreachable;
        };
        match acl.judge(peer) {
            Verdict::Media(shard) => Target::Media(shard),
            Verdict::Peer => relayed.socket.map_or(Target::Unreachable, Target::Socket),
            Verdict::Denied => Target::Denied,
        }
    }

    // ---- from the client

    /// Pays for one request.
    pub(crate) fn admit_request(&mut self, now: Nanos) -> bool {
        self.meter.requests.try_take(now, Rate::per_second(REQUESTS_PER_S), 1)
    }

    /// Of `len` bytes on a channel: their peer and the way there. Paid and counted.
    #[inline]
    pub(crate) fn send_on_channel(
        &mut self,
        now: Nanos,
        number: u16,
        len: usize,
    ) -> Result<(SocketAddr, Way), Dropped> {
        let channel = self.channels.get_mut(number).ok_or(Dropped::NoChannel)?;
        let way = way(channel.target, channel.peer, &self.relayed)?;
        self.meter.check(now)?;
        if !channel.known && matches!(way, Way::Socket(_)) {
            self.meter.meet(now)?;
            channel.known = true;
        }
        let peer = channel.peer;
        self.sent(now, way, len);
        Ok((peer, way))
    }

    /// Of `len` bytes in an indication; `hash` is the peer's.
    pub(crate) fn send_to(
        &mut self,
        now: Nanos,
        acl: &Acl,
        peer: SocketAddr,
        hash: u64,
        len: usize,
    ) -> Result<Way, Dropped> {
        let way = way(self.target(acl, peer), peer, &self.relayed)?;
        self.meter.check(now)?;
        if matches!(way, Way::Socket(_)) && !self.known.contains(hash) {
            self.meter.meet(now)?;
            self.known.insert(hash);
        }
        self.sent(now, way, len);
        Ok(way)
    }

    #[inline]
    fn sent(&mut self, now: Nanos, way: Way, len: usize) {
        self.meter.pay(now, len);
        self.stats.packets_out += 1;
        self.stats.bytes_out += len as u64;
        self.stats.zero_hop_packets += u64::from(matches!(way, Way::Media { .. }));
    }

    // ---- to the client

    /// Of `len` bytes from a peer outside: the channel to use, if there is one. Paid and counted.
    #[inline]
    pub(crate) fn receive_from_peer(
        &mut self,
        now: Nanos,
        acl: &Acl,
        peer: SocketAddr,
        len: usize,
    ) -> Result<Option<u16>, Dropped> {
        let (target, number) = match self.channels.of_peer(peer) {
            Some(channel) => (channel.target, Some(channel.number)),
            None => (self.target(acl, peer), None),
        };
        match target {
            Target::Socket(_) => {}
            Target::NotPermitted => return Err(Dropped::NoPermission),
            Target::Media(_) | Target::Denied => return Err(Dropped::DeniedPeer),
            Target::Unreachable => return Err(Dropped::NoSocket),
        }
        self.meter.check(now)?;
        self.meter.pay(now, len);
        self.received(len);
        Ok(number)
    }

    /// The same, from a media socket of ours: that one is trusted not to flood.
    pub(crate) fn receive_from_media(
        &mut self,
        acl: &Acl,
        media: SocketAddr,
        len: usize,
    ) -> Result<Option<u16>, Dropped> {
        let (target, number) = match self.channels.of_peer(media) {
            Some(channel) => (channel.target, Some(channel.number)),
            None => (self.target(acl, media), None),
        };
        match target {
            Target::Media(_) => {}
            Target::NotPermitted => return Err(Dropped::NoPermission),
            _ => return Err(Dropped::DeniedPeer),
        }
        self.received(len);
        self.stats.zero_hop_packets += 1;
        Ok(number)
    }

    #[inline]
    fn received(&mut self, len: usize) {
        self.stats.packets_in += 1;
        self.stats.bytes_in += len as u64;
    }

    // ---- what others are told

    /// How media sockets reach the client through its relayed address of this family; None: they may not.
    pub(crate) fn route(&mut self, family: Family, client: &ClientAddress) -> Option<Route> {
        let hosts = self.permissions.iter().filter(|one| one.reach.media && family_of(one.host) == family);
        let hosts: Vec<IpAddr> = hosts.map(|one| one.host).collect();
        if hosts.is_empty() {
            return None;
        }
        let open = |channel: &&crate::channels::Channel| {
            matches!(channel.target, Target::Media(_)) && family_of(channel.peer.ip()) == family
        };
        let channels = self.channels.iter().filter(open).map(|channel| (channel.peer, channel.number)).collect();
        let counters = Arc::clone(self.route_counters.get_or_insert_default());
        Some(Route { client: *client, hosts, channels, counters })
    }

    pub(crate) fn stats(&self) -> AllocationStats {
        let routed = self.route_counters.as_ref();
        let (packets, bytes) =
            routed.map_or((0, 0), |counters| (counters.packets.load(Relaxed), counters.bytes.load(Relaxed)));
        AllocationStats {
            allocation: self.id,
            packets_in: self.stats.packets_in + packets,
            bytes_in: self.stats.bytes_in + bytes,
            packets_out: self.stats.packets_out,
            bytes_out: self.stats.bytes_out,
            zero_hop_packets: self.stats.zero_hop_packets + packets,
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let permissions = self.permissions.capacity() * size_of::<Permission>();
        let counters = self.route_counters.as_ref().map_or(0, |_| size_of::<RouteCounters>() + 2 * size_of::<usize>());
        permissions + self.channels.heap_bytes() + self.known.heap_bytes() + counters
    }
}

impl Meter {
    fn new(limits: AllocationLimits) -> Self {
        let rates = [u64::from(limits.packets_per_s), limits.bytes_per_s, u64::from(limits.new_peers_per_s)];
        Self {
            rates: rates.map(Rate::per_second),
            packets: Bucket::default(),
            bytes: Bucket::default(),
            new_peers: Bucket::default(),
            requests: Bucket::default(),
        }
    }

    /// Whether a packet may pass.
    #[inline]
    fn check(&self, now: Nanos) -> Result<(), Dropped> {
        if !self.packets.has_any(now, self.rates[0]) {
            return Err(Dropped::RatePackets);
        }
        if !self.bytes.has_any(now, self.rates[1]) {
            return Err(Dropped::RateBytes);
        }
        Ok(())
    }

    #[inline]
    fn pay(&mut self, now: Nanos, len: usize) {
        self.packets.take(now, self.rates[0], 1);
        self.bytes.take(now, self.rates[1], len as u64);
    }

    /// Pays for a peer that was not sent to before.
    fn meet(&mut self, now: Nanos) -> Result<(), Dropped> {
        if self.new_peers.try_take(now, self.rates[2], 1) { Ok(()) } else { Err(Dropped::RatePeers) }
    }
}

#[inline]
fn way(target: Target, peer: SocketAddr, relayed: &[Option<Relayed>; 2]) -> Result<Way, Dropped> {
    match target {
        Target::Socket(socket) => Ok(Way::Socket(socket)),
        Target::Media(shard) => relayed[family_of(peer.ip()) as usize]
            .map(|relayed| Way::Media { shard, relayed: relayed.address })
            .ok_or(Dropped::NoSocket),
        Target::NotPermitted => Err(Dropped::NoPermission),
        Target::Denied => Err(Dropped::DeniedPeer),
        Target::Unreachable => Err(Dropped::NoSocket),
    }
}

#[inline]
pub(crate) fn family_of(host: IpAddr) -> Family {
    if host.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// A client sets up some hundred permissions and channels in a burst, at most.
const REQUESTS_PER_S: u64 = 300;
