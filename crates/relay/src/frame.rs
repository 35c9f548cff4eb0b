//! What stands around application data on its way to a client: `ChannelData`, or a Data indication.

use std::net::SocketAddr;

use wire::channeldata;
use wire::stun::{self, Class, Method, TransactionId, Writer, attribute};

use crate::{ClientAddress, Outputs};

/// Writes `ChannelData`, padded where messages follow one another. False: it is too long for that.
#[inline]
pub(crate) fn channel_data(out: &mut impl Outputs, client: &ClientAddress, channel: u16, payload: &[u8]) -> bool {
    if payload.len() > usize::from(u16::MAX) {
        return false;
    }
    let len = channeldata::HEADER_LEN + payload.len();
    let padded = if client.transport.is_stream() { len.next_multiple_of(4) } else { len };
    let room = out.to_client(client, padded);
    channeldata::write(room, channel, payload);
    if let Some(padding) = room.get_mut(len..) {
        padding.fill(0);
    }
    true
}

/// Writes a Data indication (RFC 8656 section 11.6). False: it is too long for that.
pub(crate) fn data_indication(
    out: &mut impl Outputs,
    client: &ClientAddress,
    transaction: TransactionId,
    peer: SocketAddr,
    payload: &[u8],
) -> bool {
    let address = if peer.is_ipv4() { 8 } else { 20 };
    let attributes = 4 + address + 4 + payload.len().next_multiple_of(4);
    if attributes > usize::from(u16::MAX) {
        return false;
    }
    let room = out.to_client(client, stun::HEADER_LEN + attributes);
    Writer::new(room, Class::Indication, Method::DATA, transaction)
        .xor_address(attribute::XOR_PEER_ADDRESS, peer)
        .attribute(attribute::DATA, payload)
        .finish();
    true
}
