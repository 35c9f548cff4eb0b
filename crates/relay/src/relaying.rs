//! The way of application data: from clients to peers and media sockets, and back.

use std::net::SocketAddr;

use wire::channeldata;
use wire::stun::{Message, attribute};

use crate::acl;
use crate::allocation::Way;
use crate::bucket::Nanos;
use crate::counters::Dropped;
use crate::frame;
use crate::{ClientAddress, ClientTransport, Outputs, Relay, SocketId};
use slots::Index;

impl Relay {
    /// `ChannelData` of a client.
    #[inline]
    pub(crate) fn channel_data(&mut self, now: Nanos, client: &ClientAddress, message: &[u8], out: &mut impl Outputs) {
        let Ok((channel, data)) = channeldata::parse(message) else {
            self.malformed(client, out);
            return;
        };
        let allocation = self.table.find(client).and_then(|at| self.table.allocation_mut(at));
        let Some(allocation) = allocation else {
            self.counters.drop(Dropped::NoAllocation);
            return;
        };
        match allocation.send_on_channel(now, channel, data.len()) {
            Ok((peer, way)) => self.deliver(client.transport, way, peer, data, out),
            Err(reason) => self.counters.drop(reason),
        }
    }

    /// A Send indication of a client (RFC 8656 section 11.2).
    pub(crate) fn send(&mut self, now: Nanos, client: &ClientAddress, message: &Message<'_>, out: &mut impl Outputs) {
        if let Err(reason) = self.try_send(now, client, message, out) {
            self.counters.drop(reason);
        }
    }

    fn try_send(
        &mut self,
        now: Nanos,
        client: &ClientAddress,
        message: &Message<'_>,
        out: &mut impl Outputs,
    ) -> Result<(), Dropped> {
        let at = self.table.find(client).ok_or(Dropped::NoAllocation)?;
        if message.unknown_required().next().is_some() {
            return Err(Dropped::UnknownAttribute);
        }
        let peer = message.xor_address(attribute::XOR_PEER_ADDRESS).ok_or(Dropped::Malformed)?;
        let data = message.find(attribute::DATA).ok_or(Dropped::Malformed)?;
        let peer = acl::canonical(peer);
        let hash = self.table.hash_of(peer);
        let allocation = self.table.allocation_mut(at).ok_or(Dropped::NoAllocation)?;
        if message.find(attribute::DONT_FRAGMENT).is_some() && !allocation.dont_fragment {
            // The socket's packets may be fragmented, and it cannot be told otherwise for one of them.
            return Err(Dropped::DontFragment);
        }
        let way = allocation.send_to(now, &self.acl, peer, hash, data.len())?;
        self.deliver(client.transport, way, peer, data, out);
        Ok(())
    }

    #[inline]
    fn deliver(&mut self, transport: ClientTransport, way: Way, peer: SocketAddr, data: &[u8], out: &mut impl Outputs) {
        let (packets, bytes) = match way {
            Way::Socket(socket) => {
                out.to_peer(socket, peer, data);
                (&mut self.counters.to_peer_packets, &mut self.counters.to_peer_bytes)
            }
            Way::Media { shard, relayed } => {
                out.to_media(shard, relayed, peer, data);
                (&mut self.counters.to_media_packets, &mut self.counters.to_media_bytes)
            }
        };
        *packets += 1;
        *bytes += data.len() as u64;
        let (packets, bytes) = match transport {
            ClientTransport::Udp => (&mut self.counters.from_udp_packets, &mut self.counters.from_udp_bytes),
            ClientTransport::Tcp => (&mut self.counters.from_tcp_packets, &mut self.counters.from_tcp_bytes),
            ClientTransport::Tls => (&mut self.counters.from_tls_packets, &mut self.counters.from_tls_bytes),
        };
        *packets += 1;
        *bytes += data.len() as u64;
    }

    /// A datagram that a relay socket received. `peer` is canonical.
    #[inline]
    pub(crate) fn peer_datagram(
        &mut self,
        now: Nanos,
        socket: SocketId,
        peer: SocketAddr,
        payload: &[u8],
        out: &mut impl Outputs,
    ) {
        let Some((at, _)) = self.table.socket(socket) else {
            self.counters.drop(Dropped::NoAllocation);
            return;
        };
        let Some(allocation) = self.table.allocation_mut(at) else {
            self.counters.drop(Dropped::NoAllocation);
            return;
        };
        match allocation.receive_from_peer(now, &self.acl, peer, payload.len()) {
            Ok(channel) => self.hand_over(at, channel, peer, payload, out),
            Err(reason) => self.counters.drop(reason),
        }
    }

    /// A datagram that a media socket of ours sent to a relayed address. Both are canonical.
    pub(crate) fn media_datagram(
        &mut self,
        media: SocketAddr,
        relayed: SocketAddr,
        payload: &[u8],
        out: &mut impl Outputs,
    ) {
        let Some(at) = self.table.find_relayed(relayed) else {
            self.counters.drop(Dropped::NoAllocation);
            return;
        };
        let Some(allocation) = self.table.allocation_mut(at) else {
            self.counters.drop(Dropped::NoAllocation);
            return;
        };
        match allocation.receive_from_media(&self.acl, media, payload.len()) {
            Ok(channel) => {
                self.counters.from_media_packets += 1;
                self.counters.from_media_bytes += payload.len() as u64;
                self.hand_over(at, channel, media, payload, out);
            }
            Err(reason) => self.counters.drop(reason),
        }
    }

    /// To the client, on its channel for this peer or as an indication.
    #[inline]
    fn hand_over(&mut self, at: Index, channel: Option<u16>, peer: SocketAddr, payload: &[u8], out: &mut impl Outputs) {
        let Some(client) = self.table.client(at).map(|client| client.address) else {
            return;
        };
        let fitted = match channel {
            Some(channel) => frame::channel_data(out, &client, channel, payload),
            None => frame::data_indication(out, &client, self.next_transaction(), peer, payload),
        };
        if !fitted {
            self.counters.drop(Dropped::Oversize);
            return;
        }
        let (packets, bytes) = match client.transport {
            ClientTransport::Udp => (&mut self.counters.to_udp_packets, &mut self.counters.to_udp_bytes),
            ClientTransport::Tcp => (&mut self.counters.to_tcp_packets, &mut self.counters.to_tcp_bytes),
            ClientTransport::Tls => (&mut self.counters.to_tls_packets, &mut self.counters.to_tls_bytes),
        };
        *packets += 1;
        *bytes += payload.len() as u64;
    }
}
