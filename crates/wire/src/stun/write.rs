//! Writes a message into a caller's slice, attribute by attribute.

use std::net::SocketAddr;

use super::attribute::{
    ERROR_CODE, FINGERPRINT, ICE_CONTROLLED, ICE_CONTROLLING, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, PRIORITY,
    SOFTWARE, UNKNOWN_ATTRIBUTES, USE_CANDIDATE, USERNAME, XOR_MAPPED_ADDRESS,
};
use super::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, address, crc, join_type};
use crate::bytes::Appender;

/// Builds one message. Errors are remembered: only [`Writer::finish`] says whether everything fitted.
pub struct Writer<'a> {
    out: Appender<'a>,
    transaction: TransactionId,
}

impl<'a> Writer<'a> {
    /// Starts a message at the start of `buf`.
    pub fn new(buf: &'a mut [u8], class: Class, method: Method, transaction: TransactionId) -> Self {
        let mut out = Appender::new(buf);
        out.u16(join_type(class, method)).u16(0).u32(MAGIC_COOKIE).put(&transaction.0);
        Self { out, transaction }
    }

    /// Any attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.out.u16(kind).u16(value.len() as u16).put(value).align4();
        self
    }

    /// The header of an attribute whose value, `len` bytes and padding, the caller has written behind the message. See `finish_with`.
    pub fn attribute_header(&mut self, kind: u16, len: u16) -> &mut Self {
        self.out.u16(kind).u16(len);
        self
    }

    /// USERNAME.
    pub fn username(&mut self, username: &str) -> &mut Self {
        self.attribute(USERNAME, username.as_bytes())
    }

    /// SOFTWARE.
    pub fn software(&mut self, software: &str) -> &mut Self {
        self.attribute(SOFTWARE, software.as_bytes())
    }

    /// PRIORITY.
    pub fn priority(&mut self, priority: u32) -> &mut Self {
        self.attribute(PRIORITY, &priority.to_be_bytes())
    }

    /// USE-CANDIDATE.
    pub fn use_candidate(&mut self) -> &mut Self {
        self.attribute(USE_CANDIDATE, &[])
    }

    /// ICE-CONTROLLING.
    pub fn ice_controlling(&mut self, tie_breaker: u64) -> &mut Self {
        self.attribute(ICE_CONTROLLING, &tie_breaker.to_be_bytes())
    }

    /// ICE-CONTROLLED.
    pub fn ice_controlled(&mut self, tie_breaker: u64) -> &mut Self {
        self.attribute(ICE_CONTROLLED, &tie_breaker.to_be_bytes())
    }

    /// XOR-MAPPED-ADDRESS.
    pub fn xor_mapped_address(&mut self, address: SocketAddr) -> &mut Self {
        self.xor_address(XOR_MAPPED_ADDRESS, address)
    }

    /// Any attribute that is encoded like XOR-MAPPED-ADDRESS.
    pub fn xor_address(&mut self, kind: u16, address: SocketAddr) -> &mut Self {
        let (value, len) = address::encode_xor(address, self.transaction);
        self.attribute(kind, &value[..len])
    }

    /// ERROR-CODE with a number of 300-699.
    pub fn error_code(&mut self, code: u16, reason: &str) -> &mut Self {
        self.out.u16(ERROR_CODE).u16((4 + reason.len()) as u16);
        self.out.u16(0).u8((code / 100) as u8).u8((code % 100) as u8).put(reason.as_bytes()).align4();
        self
    }

    /// UNKNOWN-ATTRIBUTES, next to error 420.
    pub fn unknown_attributes(&mut self, kinds: &[u16]) -> &mut Self {
        self.out.u16(UNKNOWN_ATTRIBUTES).u16((2 * kinds.len()) as u16);
        for kind in kinds {
            self.out.u16(*kind);
        }
        self.out.align4();
        self
    }

    /// MESSAGE-INTEGRITY. `mac` gets all bytes so far, the header's length already counting this attribute.
    pub fn integrity(&mut self, mac: impl FnOnce(&[u8]) -> [u8; 20]) -> &mut Self {
        self.mac(MESSAGE_INTEGRITY, mac)
    }

    /// MESSAGE-INTEGRITY-SHA256, untruncated.
    pub fn integrity_sha256(&mut self, mac: impl FnOnce(&[u8]) -> [u8; 32]) -> &mut Self {
        self.mac(MESSAGE_INTEGRITY_SHA256, mac)
    }

    fn mac<const N: usize>(&mut self, kind: u16, mac: impl FnOnce(&[u8]) -> [u8; N]) -> &mut Self {
        self.patch_length(4 + N);
        let mac = mac(self.out.written_mut());
        self.attribute(kind, &mac)
    }

    /// FINGERPRINT; must be the last attribute.
    pub fn fingerprint(&mut self) -> &mut Self {
        self.patch_length(8);
        let fingerprint = crc::fingerprint(self.out.written_mut());
        self.attribute(FINGERPRINT, &fingerprint.to_be_bytes())
    }

    /// Completes the header and returns the message's length, or `None` when it did not fit.
    pub fn finish(&mut self) -> Option<usize> {
        self.patch_length(0);
        self.out.finish()
    }

    /// Completes the header when `more` bytes of attributes, padding included, stand behind what was written. Returns the length of
    /// what was written, or `None` when it did not fit.
    pub fn finish_with(&mut self, more: usize) -> Option<usize> {
        self.patch_length(more);
        self.out.finish()
    }

    /// The header's length field, as if `more` bytes of attributes followed.
    fn patch_length(&mut self, more: usize) {
        let attributes = (self.out.len() + more).saturating_sub(HEADER_LEN);
        self.out.patch_u16(2, attributes as u16);
    }
}
