//! Writes answers: as short as they can be, without SOFTWARE and reason phrases.

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use wire::stun::{Class, Method, TransactionId, Writer, attribute};

use crate::exchange::Asked;
use crate::nonce::Nonce;
use crate::request::OFFERED;
use crate::{Family, Reply};

/// The request that is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct To {
    pub(crate) method: Method,
    pub(crate) transaction: TransactionId,
    pub(crate) fingerprint: bool,
}

/// What a client needs to sign its next request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Challenge<'a> {
    pub(crate) realm: &'a str,
    pub(crate) nonce: Nonce,
}

/// A message of ours, in place.
pub(crate) struct Answer {
    bytes: [u8; ANSWER_MAX],
    len: usize,
}

impl Answer {
    /// Binding, granted.
    pub(crate) fn mapped(to: To, remote: SocketAddr) -> Self {
        Self::write(Class::Success, to, None, |writer| _ = writer.xor_mapped_address(remote))
    }

    /// An error without a signature.
    pub(crate) fn error(to: To, code: u16, unknown: &[u16], challenge: Option<&Challenge<'_>>) -> Self {
        Self::write(Class::Error, to, None, |writer| {
            writer.error_code(code, "");
            if !unknown.is_empty() {
                writer.unknown_attributes(unknown);
            }
            put_challenge(writer, challenge);
        })
    }

    /// What the driver says.
    pub(crate) fn reply(
        transaction: TransactionId,
        asked: Asked,
        reply: &Reply,
        remote: SocketAddr,
        challenge: Option<&Challenge<'_>>,
    ) -> Self {
        let to = To { method: asked.method, transaction, fingerprint: asked.fingerprint };
        let signature = reply.key.as_deref().map(|key| Signature { key, sha256: asked.sha256 });
        match reply.error {
            None => Self::write(Class::Success, to, signature, |writer| {
                if asked.method == Method::ALLOCATE {
                    put_allocated(writer, reply, remote);
                }
                if let Some(lifetime_s) = reply.lifetime_s {
                    writer.attribute(attribute::LIFETIME, &lifetime_s.to_be_bytes());
                }
            }),
            Some(code) => Self::write(Class::Error, to, signature, |writer| {
                writer.error_code(if (300..700).contains(&code) { code } else { SERVER_ERROR }, "");
                if code == UNKNOWN_ATTRIBUTE {
                    writer.unknown_attributes(&reply.unknown_attributes);
                }
                put_challenge(writer, challenge);
            }),
        }
    }

    /// Empty when it did not fit: the driver gave us something endless.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn write(class: Class, to: To, signature: Option<Signature<'_>>, fill: impl FnOnce(&mut Writer<'_>)) -> Self {
        let mut bytes = [0; ANSWER_MAX];
        let mut writer = Writer::new(&mut bytes, class, to.method, to.transaction);
        fill(&mut writer);
        if let Some(signature) = signature {
            signature.put(&mut writer);
        }
        if to.fingerprint {
            writer.fingerprint();
        }
        let len = writer.finish().unwrap_or(0);
        Self { bytes, len }
    }
}

/// As the request was signed.
struct Signature<'a> {
    key: &'a [u8],
    sha256: bool,
}

impl Signature<'_> {
    fn put(&self, writer: &mut Writer<'_>) {
        if self.sha256 {
            writer.integrity_sha256(|bytes| mac(hmac::HMAC_SHA256, self.key, bytes));
        } else {
            writer.integrity(|bytes| mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.key, bytes));
        }
    }
}

fn mac<const N: usize>(algorithm: hmac::Algorithm, key: &[u8], bytes: &[u8]) -> [u8; N] {
    let tag = hmac::sign(&hmac::Key::new(algorithm, key), bytes);
    let mut mac = [0; N];
    mac.copy_from_slice(tag.as_ref());
    mac
}

fn put_allocated(writer: &mut Writer<'_>, reply: &Reply, remote: SocketAddr) {
    for relayed in &reply.relayed {
        writer.xor_address(attribute::XOR_RELAYED_ADDRESS, *relayed);
    }
    writer.xor_mapped_address(remote);
    if let Some((family, code)) = reply.address_error {
        let family = if family == Family::V4 { 1 } else { 2 };
        // RFC 8656 section 18.12: laid out like ERROR-CODE.
        writer.attribute(attribute::ADDRESS_ERROR_CODE, &[family, 0, (code / 100) as u8 & 7, (code % 100) as u8]);
    }
    if let Some(token) = &reply.reservation_token {
        writer.attribute(attribute::RESERVATION_TOKEN, token);
    }
}

fn put_challenge(writer: &mut Writer<'_>, challenge: Option<&Challenge<'_>>) {
    if let Some(Challenge { realm, nonce }) = challenge {
        writer.attribute(attribute::REALM, realm.as_bytes());
        writer.attribute(attribute::NONCE, nonce);
        writer.attribute(attribute::PASSWORD_ALGORITHMS, OFFERED);
    }
}

/// The driver asked for a code that does not exist.
const SERVER_ERROR: u16 = 500;
pub(crate) const UNKNOWN_ATTRIBUTE: u16 = 420;
/// A realm of 763 bytes and everything else.
const ANSWER_MAX: usize = 1_200;
