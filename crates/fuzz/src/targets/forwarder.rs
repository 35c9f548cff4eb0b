//! The whole forwarder: datagrams as a stranger sends them, and packets as an authenticated client with bad intentions does.

use std::time::Duration;

use crate::outcome::Outcome;
use crate::world::World;

/// Input: one datagram. A stranger sends it, then somebody with the ICE password, then a client before and after its
/// handshake. None of that keeps the client from connecting.
pub(super) fn datagram(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut world = World::new();
    world.receive(STRANGER, input);
    if let Ok(message) = wire::stun::Message::parse(input) {
        outcome.note(1_u8);
        world.receive_signed(STRANGER, &message);
    }
    world.exchange();
    world.note(&mut outcome);
    world.connect();
    world.receive(STRANGER, input);
    world.receive(0, input);
    world.receive(0, input);
    world.advance(Duration::from_millis(50));
    world.note(&mut outcome);
    outcome
}

/// Input: records of what an authenticated publisher and subscriber send, see [`records`].
pub(super) fn session(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let world = converse(input);
    world.note(&mut outcome);
    *outcome.size(world.forwarded())
}

/// Runs the records of a session to their end.
pub fn converse(input: &[u8]) -> World {
    let mut world = World::connected();
    for (kind, bytes) in records(input) {
        match kind % 8 {
            0 => world.receive_rtp(bytes),
            1 => world.receive_rtcp(0, bytes),
            2 => world.receive_rtcp(1, bytes),
            3 => world.receive_data(0, bytes),
            4 => world.receive_data(1, bytes),
            5 => world.receive(0, bytes),
            6 => world.advance(Duration::from_millis(10 * bytes.len() as u64)),
            _ => world.exchange(),
        }
    }
    world.advance(Duration::from_millis(200));
    world
}

/// A record is a kind, a 16-bit length and as many bytes; the last one may be cut short.
pub(super) fn records(mut input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, high, low], rest) = input.split_first_chunk::<3>()?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let (bytes, rest) = rest.split_at(len.min(rest.len()));
        input = rest;
        Some((kind, bytes))
    })
    .take(RECORDS_MAX)
}

/// Neither of the two clients.
const STRANGER: u8 = 2;
const RECORDS_MAX: usize = 128;
