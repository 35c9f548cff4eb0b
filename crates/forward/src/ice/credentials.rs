//! A ufrag with its password, and the messages that they protect (RFC 8445 section 7, RFC 8489 section 14.5).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use wire::stun::{Class, Message, Method, TransactionId, Writer};

/// One side's short-term credentials; the HMAC key schedule is kept.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    password: String,
    key: hmac::Key,
}

impl Credentials {
    pub(crate) fn new(ufrag: String, password: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        Self { ufrag, password: password.to_owned(), key }
    }

    pub(crate) fn are(&self, ufrag: &str, password: &str) -> bool {
        self.ufrag == ufrag && self.password == password
    }

    /// Whether MESSAGE-INTEGRITY is there and right; compared in constant time.
    pub(crate) fn verify(&self, message: &Message<'_>) -> bool {
        message.integrity_input().is_some_and(|input| {
            let mac = self.mac(&[&input.header, input.attributes]);
            verify_slices_are_equal(&mac, input.mac).is_ok()
        })
    }

    /// A message of ours with integrity and fingerprint; `None` when it is longer than any that we send.
    pub(crate) fn write(
        &self,
        class: Class,
        transaction: TransactionId,
        attributes: impl FnOnce(&mut Writer<'_>),
    ) -> Option<Vec<u8>> {
        let mut buf = [0; MESSAGE_MAX];
        let mut writer = Writer::new(&mut buf, class, Method::BINDING, transaction);
        attributes(&mut writer);
        let len = writer.integrity(|bytes| self.mac(&[bytes])).fingerprint().finish()?;
        Some(buf[..len].to_vec())
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 20] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part);
        }
        let mut mac = [0; 20];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}

/// Unpredictable to the client, who sees every earlier output: a guessed transaction id would validate a path that is not its own.
pub(crate) struct Nonces {
    key: hmac::Key,
    drawn: u64,
}

impl Nonces {
    pub(crate) fn new(seed: u64) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &seed.to_be_bytes()), drawn: 0 }
    }

    pub(crate) fn draw<const N: usize>(&mut self) -> [u8; N] {
        self.drawn += 1;
        let tag = hmac::sign(&self.key, &self.drawn.to_be_bytes());
        let mut nonce = [0; N];
        nonce.copy_from_slice(&tag.as_ref()[..N]);
        nonce
    }
}

// Two ufrags of 256 characters, the longest that RFC 8839 allows, and room for the other attributes.
const MESSAGE_MAX: usize = 768;
