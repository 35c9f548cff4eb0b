//! Nonces that are kept by nobody (RFC 8489 sections 9.2 and 18.1): the nonce cookie with the security features, the time, and
//! a MAC over the time and the client's address. Good for ten minutes, at that address only.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::ClientAddress;

/// In text, as it goes into NONCE.
pub(crate) type Nonce = [u8; NONCE_LEN];

/// Makes and knows them.
pub(crate) struct Nonces {
    secret: hmac::Key,
    /// Of this period and the one before.
    keys: [Period; 2],
    /// So that the time in a nonce does not tell how long we have been running.
    offset_s: u32,
}

/// A period and its key. Nonces live as long as a period, so two keys know all that are alive.
struct Period {
    number: u64,
    key: hmac::Key,
}

impl Nonces {
    pub(crate) fn new(secret: hmac::Key, offset_s: u32) -> Self {
        let keys = [0, u64::MAX].map(|number| Period::new(&secret, number));
        Self { secret, keys, offset_s }
    }

    /// For this client, at so many seconds since the start.
    pub(crate) fn mint(&mut self, client: &ClientAddress, now_s: u64) -> Nonce {
        let time = self.offset_s.wrapping_add(now_s as u32).to_be_bytes();
        let mut token = [0; TOKEN_LEN];
        token[..4].copy_from_slice(&time);
        token[4..].copy_from_slice(&self.mac(client, time, now_s / VALID_S));
        let mut nonce = [0; NONCE_LEN];
        nonce[..COOKIE.len()].copy_from_slice(COOKIE);
        encode(&token, &mut nonce[COOKIE.len()..]);
        nonce
    }

    /// Whether it was minted for this client in the last ten minutes.
    pub(crate) fn verify(&mut self, nonce: &[u8], client: &ClientAddress, now_s: u64) -> bool {
        let Some(token) = nonce.strip_prefix(COOKIE).and_then(decode) else {
            return false;
        };
        let time = [token[0], token[1], token[2], token[3]];
        let now = self.offset_s.wrapping_add(now_s as u32);
        let age_s = u64::from(now.wrapping_sub(u32::from_be_bytes(time)));
        if age_s > VALID_S || age_s > now_s {
            return false;
        }
        let mac = self.mac(client, time, (now_s - age_s) / VALID_S);
        verify_slices_are_equal(&mac, &token[4..]).is_ok()
    }

    fn mac(&mut self, client: &ClientAddress, time: [u8; 4], period: u64) -> [u8; MAC_LEN] {
        let slot = (period % 2) as usize;
        if self.keys[slot].number != period {
            self.keys[slot] = Period::new(&self.secret, period);
        }
        let mut context = hmac::Context::with_key(&self.keys[slot].key);
        context.update(&time);
        context.update(&client_bytes(client));
        let tag = context.sign();
        let mut mac = [0; MAC_LEN];
        mac.copy_from_slice(&tag.as_ref()[..MAC_LEN]);
        mac
    }
}

impl Period {
    fn new(secret: &hmac::Key, number: u64) -> Self {
        let tag = hmac::sign(secret, &number.to_be_bytes());
        Self { number, key: hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref()) }
    }
}

/// A connection's nonce is of no use on another one from the same port.
fn client_bytes(client: &ClientAddress) -> [u8; 27] {
    let ip = match client.remote.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let mut bytes = [0; 27];
    bytes[0] = client.transport as u8;
    bytes[1..17].copy_from_slice(&ip);
    bytes[17..19].copy_from_slice(&client.remote.port().to_be_bytes());
    bytes[19..].copy_from_slice(&client.connection.0.to_be_bytes());
    bytes
}

/// Base64 without padding, for whole groups.
fn encode(bytes: &[u8], text: &mut [u8]) {
    for (group, quad) in bytes.as_chunks::<3>().0.iter().zip(text.as_chunks_mut::<4>().0) {
        let word = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        *quad = [18, 12, 6, 0].map(|shift| ALPHABET[(word >> shift) as usize % 64]);
    }
}

fn decode(text: &[u8]) -> Option<[u8; TOKEN_LEN]> {
    let text: &[u8; NONCE_LEN - COOKIE.len()] = text.try_into().ok()?;
    let mut token = [0; TOKEN_LEN];
    for (quad, group) in text.as_chunks::<4>().0.iter().zip(token.as_chunks_mut::<3>().0) {
        let mut word = 0;
        for character in quad {
            word = word << 6 | ALPHABET.iter().position(|known| known == character)? as u32;
        }
        group.copy_from_slice(&word.to_be_bytes()[1..]);
    }
    Some(token)
}

/// The nonce cookie, and in base64 bits 0 (password algorithms) and 1 (username anonymity) of 24, counted from the left.
const COOKIE: &[u8; 13] = b"obMatJos2wAAA";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// 64 bits: a guess is right once in a long while, and then it only costs what an honest request costs.
const MAC_LEN: usize = 8;
const TOKEN_LEN: usize = 4 + MAC_LEN;
const NONCE_LEN: usize = COOKIE.len() + TOKEN_LEN / 3 * 4;
/// RFC 8489 section 9.2 wants nonces to expire; libwebrtc refreshes at half of an allocation's ten minutes.
const VALID_S: u64 = 600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientTransport, ConnectionId};

    fn nonces() -> Nonces {
        Nonces::new(hmac::Key::new(hmac::HMAC_SHA256, &[9; 32]), u32::MAX - 100)
    }

    fn client(remote: &str) -> ClientAddress {
        ClientAddress {
            transport: ClientTransport::Udp,
            connection: ConnectionId(0),
            local: "192.0.2.1:3478".parse().unwrap(),
            remote: remote.parse().unwrap(),
        }
    }

    #[test]
    fn a_nonce_is_text_that_begins_with_the_cookie_and_the_features() {
        let nonce = nonces().mint(&client("198.51.100.1:5000"), 3);
        assert!(nonce.starts_with(b"obMatJos2wAAA"));
        assert!(nonce.iter().all(u8::is_ascii_graphic));
    }

    #[test]
    fn a_nonce_is_good_for_ten_minutes_over_every_change_of_keys() {
        let (mut nonces, client) = (nonces(), client("198.51.100.1:5000"));
        for minted_s in [0, 1, 99, 101, 599, 600, 601, 1_199, 1_200, 5_000_000_000] {
            let nonce = nonces.mint(&client, minted_s);
            for (age_s, good) in [(0, true), (599, true), (600, true), (601, false), (1_200, false), (1 << 32, false)] {
                assert_eq!(nonces.verify(&nonce, &client, minted_s + age_s), good, "{minted_s} + {age_s}");
            }
        }
    }

    #[test]
    fn a_nonce_is_good_at_one_address_only() {
        let (mut nonces, home) = (nonces(), client("198.51.100.1:5000"));
        let nonce = nonces.mint(&home, 50);
        let mut others = vec![client("198.51.100.1:5001"), client("198.51.100.2:5000"), client("[2001:db8::1]:5000")];
        others.push(ClientAddress { transport: ClientTransport::Tcp, ..home });
        others.push(ClientAddress { connection: ConnectionId(1), ..home });
        for other in others {
            assert!(!nonces.verify(&nonce, &other, 50), "{other:?}");
        }
        assert!(nonces.verify(&nonce, &home, 50));
    }

    #[test]
    fn no_changed_or_shortened_nonce_is_taken() {
        let (mut nonces, client) = (nonces(), client("198.51.100.1:5000"));
        let nonce = nonces.mint(&client, 70);
        for at in 0..nonce.len() {
            assert!(!nonces.verify(&nonce[..at], &client, 70));
            let mut changed = nonce;
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            assert!(!nonces.verify(&changed, &client, 70), "{at}");
        }
        assert!(!nonces.verify(&[&nonce[..], b"AAAA"].concat(), &client, 70));
        assert!(!nonces.verify(&nonces_of_another_key(&client), &client, 70));
    }

    fn nonces_of_another_key(client: &ClientAddress) -> Nonce {
        Nonces::new(hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]), u32::MAX - 100).mint(client, 70)
    }
}
