//! The way from a media socket of this process to a client behind the relay: no relay socket, the frame is written by whoever sends.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::ClientAddress;

/// Of one relayed address. Replaced as a whole when permissions or channels change.
#[derive(Debug, Clone)]
pub struct Route {
    /// Where frames go.
    pub client: ClientAddress,
    /// Media hosts with a permission.
    pub hosts: Vec<IpAddr>,
    /// Channels by media address.
    pub channels: Vec<(SocketAddr, u16)>,
    /// What went this way, for the allocation's statistics.
    pub counters: Arc<RouteCounters>,
}

/// Counted by whoever sends.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct RouteCounters {
    pub packets: AtomicU64,
    pub bytes: AtomicU64,
}

/// What stands around a payload on its way to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// `ChannelData` of this channel.
    Channel(u16),
    /// A Data indication.
    Indication,
}

impl Route {
    /// How a payload from `media` is framed; `None` without a permission.
    pub fn frame(&self, media: SocketAddr) -> Option<Frame> {
        if let Some((_, channel)) = self.channels.iter().find(|(address, _)| *address == media) {
            return Some(Frame::Channel(*channel));
        }
        self.hosts.contains(&media.ip()).then_some(Frame::Indication)
    }
}
