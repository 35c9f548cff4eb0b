//! The TURN relay (RFC 8656) without sockets and without a clock: which packet of whom goes where.
//!
//! Answers Binding and the unauthenticated 401 and 438 by itself, moves relayed packets, and asks its driver for everything
//! else: credentials, quotas and life-cycles are decided elsewhere (`turn/` in Python). `handle_*` in, [`Outputs`] out.

mod acl;
mod address;
mod allocation;
mod bucket;
mod channels;
mod client;
mod command;
mod commands;
mod counters;
mod event;
mod exchange;
mod frame;
mod hash;
mod known;
mod limiter;
mod nonce;
mod outputs;
mod relay;
mod relaying;
mod replies;
mod reply;
mod request;
mod route;
mod table;

pub use address::{ClientAddress, ClientTransport, ConnectionId};
pub use command::{
    AllocationLimits, Configuration, InstallAllocation, InstallChannel, MediaAddress, PermissionRule, RelayCommand,
    RelayHost, Reply,
};
pub use counters::Counters;
pub use event::{AllocationStats, Family, PasswordAlgorithm, RelayEvent, Request};
pub use outputs::{Outputs, SocketId};
pub use relay::Relay;
pub use route::{Frame, Route, RouteCounters};

/// Minted by the driver, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationId(pub u64);

/// Minted here: one request that waits for the driver's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Minted here: a client's 5-tuple, for as long as a request of it waits or it has an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);
