//! Conversations with a TURN relay: an allocation with peers and media to begin with, then anything.

use wire::channeldata;
use wire::stun::{Class, Method, TransactionId, Writer, attribute};

use super::{stun, written};
use crate::rng::Rng;

pub(super) fn relay() -> Vec<Vec<u8>> {
    let messages = stun::stun();
    let mut rng = Rng::new(0, "relay");
    let mut seeds = vec![call(0), call(1), call(2), call(0).repeat(2), [call(0), call(1), call(2)].concat()];
    while seeds.len() < super::COUNT_MIN + 10 {
        let mut input = if rng.below(4) > 0 { call(rng.below(3) as u8) } else { Vec::new() };
        for _ in 0..=rng.below(12) {
            let kind = rng.below(8) as u8;
            let len = match kind {
                7 => rng.below(200),
                _ => rng.below(16),
            };
            let bytes = match kind {
                0..=2 => rng.pick(&messages).cloned().unwrap_or_default(),
                _ => rng.bytes(len),
            };
            input.extend(record(kind, &bytes));
        }
        seeds.push(input);
    }
    seeds
}

/// What a client does in its life.
fn call(at: u8) -> Vec<u8> {
    let channel = |number| written(|buf| channeldata::write(buf, number, b"data"));
    [
        record(at, &unsigned()),
        record(5, &[&[at, 0, at][..], &[0, 0x19, 4, 17, 0, 0, 0, 0, 0x0d, 4, 0, 0, 2, 88]].concat()),
        // Both families, a peer, a media host, a channel to each.
        record(6, &[0, 2]),
        record(6, &[3, 0, 0]),
        record(6, &[3, 0, 3]),
        record(6, &[6, 0, 0, 0, 0, 0]),
        record(6, &[6, 0, 0, 1, 1, 5]),
        record(at, &channel(0x4000)),
        record(at, &channel(0x4001)),
        record(at, &indication("10.0.0.1:4000")),
        record(at, &indication("192.168.0.1:7882")),
        record(at, &indication("127.0.0.1:80")),
        record(3, &[&[0, 0, 0][..], b"answer"].concat()),
        record(3, &[&[0, 0, 9][..], b"another"].concat()),
        record(4, &[&[1, 2][..], b"media"].concat()),
        record(5, &[&[at, 1, at + 16][..], &[0, 0x0d, 4, 0, 0, 0, 0]].concat()),
        record(6, &[2, 0, 0]),
        record(7, &[0; 3]),
    ]
    .concat()
}

fn unsigned() -> Vec<u8> {
    written(|buf| {
        let mut writer = Writer::new(buf, Class::Request, Method::ALLOCATE, TransactionId([9; 12]));
        writer.attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]).finish()
    })
}

fn indication(peer: &str) -> Vec<u8> {
    written(|buf| {
        let mut writer = Writer::new(buf, Class::Indication, Method::SEND, TransactionId([8; 12]));
        let peer = peer.parse().expect("a literal");
        writer.xor_address(attribute::XOR_PEER_ADDRESS, peer).attribute(attribute::DATA, b"data").finish()
    })
}

fn record(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
}
