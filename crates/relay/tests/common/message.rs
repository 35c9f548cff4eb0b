//! What clients write and read.

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use wire::stun::{Class, Message, Method, TransactionId, Writer, attribute};

/// As the driver has it for everybody's password.
pub const KEY: &[u8] = b"sixteen bytes !!";
pub const REALM: &str = "beep.test";

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mac {
    Sha1,
    Sha256,
    Both,
}

/// A request in the making.
#[derive(Debug, Clone)]
pub struct Ask {
    class: Class,
    method: Method,
    transaction: TransactionId,
    attributes: Vec<(u16, Vec<u8>)>,
    peers: Vec<SocketAddr>,
    behind: Vec<(u16, Vec<u8>)>,
    userhash: bool,
    fingerprint: bool,
}

pub fn request(method: Method, transaction: u64) -> Ask {
    message(Class::Request, method, transaction)
}

pub fn message(class: Class, method: Method, transaction: u64) -> Ask {
    let mut id = [0; 12];
    id[4..].copy_from_slice(&transaction.to_be_bytes());
    Ask {
        class,
        method,
        transaction: TransactionId(id),
        attributes: Vec::new(),
        peers: Vec::new(),
        behind: Vec::new(),
        userhash: false,
        fingerprint: false,
    }
}

impl Ask {
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.attributes.push((kind, value.to_vec()));
        self
    }

    pub fn transport(self, protocol: u8) -> Self {
        self.attribute(attribute::REQUESTED_TRANSPORT, &[protocol, 0, 0, 0])
    }

    pub fn peer(mut self, peer: &str) -> Self {
        self.peers.push(super::address(peer));
        self
    }

    pub fn data(self, payload: &[u8]) -> Self {
        self.attribute(attribute::DATA, payload)
    }

    /// Behind the integrity attribute, where nothing counts.
    pub fn behind(mut self, kind: u16, value: &[u8]) -> Self {
        self.behind.push((kind, value.to_vec()));
        self
    }

    pub fn userhash(mut self) -> Self {
        self.userhash = true;
        self
    }

    pub fn fingerprint(mut self) -> Self {
        self.fingerprint = true;
        self
    }

    pub fn unsigned(self) -> Vec<u8> {
        self.write(|_| {})
    }

    /// With username, realm and this nonce.
    pub fn signed(self, nonce: &[u8], mac: Mac) -> Vec<u8> {
        let userhash = self.userhash;
        self.write(|writer| {
            if userhash {
                writer.attribute(attribute::USERHASH, &[0x5a; 32]);
            } else {
                writer.username("alice");
            }
            writer.attribute(attribute::REALM, REALM.as_bytes()).attribute(attribute::NONCE, nonce);
            if mac != Mac::Sha256 {
                writer.integrity(|bytes| sign(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, bytes));
            }
            if mac != Mac::Sha1 {
                writer.integrity_sha256(|bytes| sign(hmac::HMAC_SHA256, bytes));
            }
        })
    }

    /// With whatever a test wants in front of the end.
    pub fn write(self, credentials: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut buf = vec![0; 70_000];
        let mut writer = Writer::new(&mut buf, self.class, self.method, self.transaction);
        for (kind, value) in &self.attributes {
            writer.attribute(*kind, value);
        }
        for peer in &self.peers {
            writer.xor_address(attribute::XOR_PEER_ADDRESS, *peer);
        }
        credentials(&mut writer);
        for (kind, value) in &self.behind {
            writer.attribute(*kind, value);
        }
        if self.fingerprint {
            writer.fingerprint();
        }
        let len = writer.finish().expect("it fits");
        buf.truncate(len);
        buf
    }
}

pub fn sign<const N: usize>(algorithm: hmac::Algorithm, bytes: &[u8]) -> [u8; N] {
    hmac::sign(&hmac::Key::new(algorithm, KEY), bytes).as_ref().try_into().expect("the MAC's own length")
}

/// Class and error code of an answer.
pub fn answer_of(bytes: &[u8]) -> (Class, Option<u16>) {
    let message = Message::parse(bytes).expect("a well-formed answer");
    assert_ne!(message.fingerprint_ok(), Some(false));
    assert_eq!(message.software(), None);
    (
        message.class(),
        message.error_code().map(|(code, reason)| {
            assert_eq!(reason, "");
            code
        }),
    )
}

pub fn nonce_of(challenge: &[u8]) -> Vec<u8> {
    Message::parse(challenge).expect("a challenge").nonce().expect("a nonce").to_vec()
}

/// Whether what the driver got, or an answer's bytes, are signed with our key.
pub fn verifies(sha256: bool, signed: &[u8], mac: &[u8]) -> bool {
    if sha256 {
        sign::<32>(hmac::HMAC_SHA256, signed)[..mac.len()] == *mac
    } else {
        sign::<20>(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, signed)[..] == *mac
    }
}
