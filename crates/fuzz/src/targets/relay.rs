//! A TURN relay under anything that clients, peers, media sockets and its driver may do, in any order.

use std::time::Duration;

use super::forwarder::records;
use crate::outcome::Outcome;
use crate::relay_world::RelayWorld;

/// Input: records, see `forwarder::records`.
pub(super) fn relay(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    play(input).finish(&mut outcome);
    outcome
}

/// Packets that the records of an input make the relay send to peers, to media sockets, and messages to clients.
pub fn relayed(input: &[u8]) -> [usize; 3] {
    play(input).relayed()
}

fn play(input: &[u8]) -> RelayWorld {
    let mut world = RelayWorld::new();
    for (kind, bytes) in records(input) {
        match kind % 8 {
            at @ 0..=2 => world.receive(at, bytes),
            3 => world.receive_from_peer(bytes),
            4 => world.receive_from_media(bytes),
            5 => {
                if let Some((&[at, method, transaction], attributes)) = bytes.split_first_chunk::<3>() {
                    world.request(at, method, transaction, attributes);
                }
            }
            6 => world.drive(bytes),
            _ => world.advance(Duration::from_millis(100 * bytes.len() as u64)),
        }
    }
    world
}
