//! What the driver is told and asked.

use std::net::{IpAddr, SocketAddr};

use crate::{AllocationId, ClientAddress, ClientId, RequestId};

/// In order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RelayEvent {
    Request(Box<Request>),
    /// `reason` is None when it works, else "`no_socket`" or "`not_allowed`".
    PermissionInstalled {
        allocation: AllocationId,
        host: IpAddr,
        reason: Option<&'static str>,
    },
    /// Its connection has ended, or an allocation was to be installed for a client that is no longer known.
    ClientGone {
        client: ClientId,
    },
}

/// A request with a valid nonce, once. What stands behind the integrity attribute was ignored; PASSWORD-ALGORITHMS was found
/// to be what we offer (RFC 8489 section 9.2.4). The driver checks `HMAC(key, signed)` against `mac`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Request {
    pub request: RequestId,
    pub client: ClientId,
    pub address: ClientAddress,
    /// The STUN method, 12 bits: Allocate, Refresh, `CreatePermission` or `ChannelBind`.
    pub method: u16,
    /// Of the 5-tuple, if it has one.
    pub allocation: Option<AllocationId>,
    pub username: Option<String>,
    pub userhash: Option<[u8; 32]>,
    pub realm: String,
    /// MESSAGE-INTEGRITY-SHA256, else MESSAGE-INTEGRITY.
    pub sha256: bool,
    pub password_algorithm: PasswordAlgorithm,
    pub signed: Vec<u8>,
    pub mac: Vec<u8>,
    /// An attribute's value is not what its specification allows.
    pub malformed: bool,
    pub unknown_attributes: Vec<u16>,
    pub requested_transport: Option<u8>,
    pub lifetime_s: Option<u32>,
    /// On the wire: 1 is IPv4, 2 is IPv6.
    pub requested_family: Option<u8>,
    pub additional_family: Option<u8>,
    /// Asked for, and whether the next port shall be reserved, too.
    pub even_port: Option<bool>,
    pub reservation_token: Option<[u8; 8]>,
    pub dont_fragment: bool,
    pub channel: Option<u16>,
    /// XOR-PEER-ADDRESSes, canonical, in order, and whether each may be a peer.
    pub peers: Vec<(SocketAddr, bool)>,
}

/// RFC 8489 section 18.5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PasswordAlgorithm {
    Md5,
    Sha256,
}

/// Of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Family {
    V4,
    V6,
}

/// Cumulative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocationStats {
    /// Whose.
    pub allocation: AllocationId,
    /// From peers to the client.
    pub packets_in: u64,
    /// Of those, application data.
    pub bytes_in: u64,
    /// From the client to peers.
    pub packets_out: u64,
    /// Of those, application data.
    pub bytes_out: u64,
    /// Of both, those that went to or came from our own media sockets.
    pub zero_hop_packets: u64,
}
