//! ICE checks and their responses, TURN requests, and messages with something wrong.

use wire::stun::{Class, Method, TransactionId, Writer, attribute};

use super::{payload, written};

const TRANSACTION: TransactionId = TransactionId(*b"transaction!");
/// Sent by libwebrtc: network cost, and the DTLS-in-STUN pair.
const LIBWEBRTC: [u16; 3] = [attribute::NETWORK_COST, 0xc070, 0xc071];

pub(super) fn stun() -> Vec<Vec<u8>> {
    let mut seeds = checks();
    seeds.extend(responses());
    seeds.extend(turn());
    seeds.extend(bent(&seeds));
    seeds
}

fn message(class: Class, method: Method, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    written(|buf| {
        let mut writer = Writer::new(buf, class, method, TRANSACTION);
        fill(&mut writer);
        writer.finish()
    })
}

fn checks() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for username in ["a:b", "server:client", "four:0123456789abcdef0123456789abcdef", "nocolon", "é:ü"] {
        for nominate in [false, true] {
            for controlling in [false, true] {
                seeds.push(message(Class::Request, Method::BINDING, |writer| {
                    writer.username(username).attribute(LIBWEBRTC[0], &[0, 1, 0, 10]);
                    if controlling {
                        writer.ice_controlling(0x0123_4567_89ab_cdef);
                    } else {
                        writer.ice_controlled(u64::MAX);
                    }
                    if nominate {
                        writer.use_candidate();
                    }
                    writer.priority(0x6e7f_1eff).integrity(|_| [0x5a; 20]).fingerprint();
                }));
            }
        }
    }
    for len in [0, 1, 216, 900] {
        seeds.push(message(Class::Request, Method::BINDING, |writer| {
            writer.username("a:b").attribute(LIBWEBRTC[1], &payload(len)).attribute(LIBWEBRTC[2], &[]);
            writer.integrity(|_| [1; 20]).fingerprint();
        }));
    }
    seeds
}

fn responses() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for address in ["192.0.2.1:1", "0.0.0.0:0", "255.255.255.255:65535", "[2001:db8::1]:7882", "[::]:0"] {
        seeds.push(message(Class::Success, Method::BINDING, |writer| {
            writer.xor_mapped_address(address.parse().expect("a literal")).integrity(|_| [2; 20]).fingerprint();
        }));
    }
    for (code, reason) in
        [(300, "Try Alternate"), (401, ""), (420, "Unknown Attribute"), (487, "Role Conflict"), (699, "x")]
    {
        seeds.push(message(Class::Error, Method::BINDING, |writer| {
            writer.error_code(code, reason).unknown_attributes(&[0x7fff, 1]).fingerprint();
        }));
    }
    seeds
}

fn turn() -> Vec<Vec<u8>> {
    let peer = "198.51.100.7:3478".parse().expect("a literal");
    let authenticated = |writer: &mut Writer<'_>| {
        writer.username("1700000000:alice").attribute(attribute::REALM, b"example.org");
        writer.attribute(attribute::NONCE, b"f//499k954d6OL34oL9FSTvy64sA").integrity(|_| [3; 20]);
    };
    vec![
        message(Class::Request, Method::ALLOCATE, |writer| {
            writer.attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        }),
        message(Class::Request, Method::ALLOCATE, |writer| {
            writer.attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]).attribute(attribute::DONT_FRAGMENT, &[]);
            authenticated(writer);
        }),
        message(Class::Request, Method::REFRESH, |writer| {
            writer.attribute(attribute::LIFETIME, &600_u32.to_be_bytes());
            authenticated(writer);
        }),
        message(Class::Request, Method::CREATE_PERMISSION, |writer| {
            writer.xor_address(attribute::XOR_PEER_ADDRESS, peer);
            authenticated(writer);
        }),
        message(Class::Request, Method::CHANNEL_BIND, |writer| {
            writer
                .attribute(attribute::CHANNEL_NUMBER, &[0x40, 0, 0, 0])
                .xor_address(attribute::XOR_PEER_ADDRESS, peer);
            authenticated(writer);
        }),
        message(Class::Indication, Method::SEND, |writer| {
            writer.xor_address(attribute::XOR_PEER_ADDRESS, peer).attribute(attribute::DATA, &payload(33));
        }),
        message(Class::Indication, Method::DATA, |writer| {
            writer.xor_address(attribute::XOR_PEER_ADDRESS, peer).attribute(attribute::DATA, &[]);
        }),
        message(Class::Request, Method::BINDING, |writer| {
            writer.integrity(|_| [4; 20]).integrity_sha256(|_| [5; 32]).use_candidate().fingerprint();
        }),
        message(Class::Request, Method(0xfff), |_| {}),
    ]
}

/// Copies with one thing wrong each.
fn bent(good: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (index, message) in good.iter().enumerate().step_by(4) {
        let mut bent = message.clone();
        match index % 3 {
            0 => bent.truncate(message.len() - 1 - index % 24),
            1 => bent[22] ^= 0xff,
            _ => bent.extend_from_slice(&message[20..]),
        }
        seeds.push(bent);
    }
    seeds
}
