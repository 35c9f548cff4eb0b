//! Long-term credentials (RFC 8489 §9.2): the key is MD5 over user, realm and password, the MAC is HMAC-SHA1, which every
//! server speaks.

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use openssl::hash::{MessageDigest, hash};
use serde::Deserialize;

use crate::Failure;

/// Who allocates.
#[derive(Clone, Deserialize)]
pub(crate) struct Account {
    pub(crate) username: String,
    pub(crate) password: String,
}

/// What a server asked for with 401 or 438, and the key for it.
pub(crate) struct Challenge {
    pub(crate) realm: String,
    pub(crate) nonce: Vec<u8>,
    key: hmac::Key,
}

impl Account {
    /// Answers a server's realm and nonce.
    pub(crate) fn challenge(&self, realm: &str, nonce: &[u8]) -> Result<Challenge, Failure> {
        let text = format!("{}:{realm}:{}", self.username, self.password);
        let key = hash(MessageDigest::md5(), text.as_bytes()).map_err(|_| Failure::Crypto)?;
        let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
        Ok(Challenge { realm: realm.to_owned(), nonce: nonce.to_vec(), key })
    }
}

impl Challenge {
    /// MESSAGE-INTEGRITY over these bytes.
    pub(crate) fn mac(&self, signed: &[u8]) -> [u8; 20] {
        let mut mac = [0; 20];
        mac.copy_from_slice(hmac::sign(&self.key, signed).as_ref());
        mac
    }
}
