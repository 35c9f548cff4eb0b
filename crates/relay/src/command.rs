//! What the driver wants. The I/O half of `ConfigureTurn` (listeners, certificate, connections) is not among it.

use std::net::{IpAddr, SocketAddr};

use crate::event::Family;
use crate::{AllocationId, ClientId, RequestId};

/// In order. Unknown ids are ignored: the allocation has gone meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RelayCommand {
    Configure(Configuration),
    Reply(Reply),
    InstallAllocation(InstallAllocation),
    InstallPermission { allocation: AllocationId, host: IpAddr },
    RemovePermission { allocation: AllocationId, host: IpAddr },
    InstallChannel(InstallChannel),
    RemoveChannel { allocation: AllocationId, channel: u16 },
    RemoveRelayed { allocation: AllocationId, family: Family },
    RemoveAllocation { allocation: AllocationId },
}

/// Replaces the one before; allocations live on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Of the long-term credentials.
    pub realm: String,
    /// Where relay sockets are bound, and what clients and peers see.
    pub relay_hosts: Vec<RelayHost>,
    /// First and last relayed port. A peer at one of our relay addresses within it is another allocation: refused.
    pub relay_ports: (u16, u16),
    /// Our own media sockets as clients see them. Reached in memory, always allowed.
    pub media: Vec<MediaAddress>,
    /// What may be a peer beside them, as address and prefix length. What is never allowed stays so.
    pub allow_peers: Vec<PermissionRule>,
    /// Never a peer: our own other listeners.
    pub deny_peers: Vec<SocketAddr>,
    /// Requests without valid credentials that one IPv4 /24 or IPv6 /56 may send per second.
    pub unauthenticated_per_s: u32,
}

/// A CIDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermissionRule {
    /// Its address; bits behind the prefix are zero.
    pub address: IpAddr,
    /// Leading bits that count: 0 to 32, or to 128.
    pub prefix_len: u8,
}

/// An address to bind relay sockets at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayHost {
    /// On this machine.
    pub bind: IpAddr,
    /// In front of a NAT.
    pub advertised: IpAddr,
}

/// A media socket of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaAddress {
    /// As written in candidates.
    pub address: SocketAddr,
    /// Whose it is.
    pub shard: u32,
}

/// Enforced on relayed packets, both directions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct AllocationLimits {
    pub packets_per_s: u32,
    pub bytes_per_s: u64,
    pub new_peers_per_s: u32,
}

/// Makes a client's 5-tuple relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallAllocation {
    /// Its name from now on.
    pub allocation: AllocationId,
    /// Whose.
    pub client: ClientId,
    /// As advertised; one per family.
    pub relayed: Vec<SocketAddr>,
    /// Token buckets.
    pub limits: AllocationLimits,
    /// DONT-FRAGMENT was asked for.
    pub dont_fragment: bool,
}

/// Binds a channel. The permission is installed separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstallChannel {
    /// Whose.
    pub allocation: AllocationId,
    /// 0x4000-0x7FFE.
    pub channel: u16,
    /// Canonical.
    pub peer: SocketAddr,
}

/// Answers one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Which.
    pub request: RequestId,
    /// None: success.
    pub error: Option<u16>,
    /// For 420.
    pub unknown_attributes: Vec<u16>,
    /// LIFETIME.
    pub lifetime_s: Option<u32>,
    /// XOR-RELAYED-ADDRESSes.
    pub relayed: Vec<SocketAddr>,
    /// ADDRESS-ERROR-CODE.
    pub address_error: Option<(Family, u16)>,
    /// RESERVATION-TOKEN, 8 bytes.
    pub reservation_token: Option<Vec<u8>>,
    /// To sign with, by the algorithm of the request. None: unsigned.
    pub key: Option<Vec<u8>>,
}
