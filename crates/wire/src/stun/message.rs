//! Reads a message. `parse` walks all attributes once, so that every getter afterwards is safe and cheap.

use std::net::SocketAddr;

use super::attribute::{self, Attribute};
use super::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, address, crc, split_type};
use crate::ParseError;
use crate::bytes::{array_at, u16_at, u32_at, u64_at};

/// One message, borrowed and well-framed. Authenticity is the caller's: see [`Message::integrity_input`].
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
    method: Method,
    transaction: TransactionId,
    /// Where readable attributes end: what follows MESSAGE-INTEGRITY is not covered by it and ignored (RFC 8489 §14.5).
    readable_end: usize,
    integrity_at: Option<usize>,
    integrity_sha256_at: Option<usize>,
    fingerprint_at: Option<usize>,
}

/// What a MAC covers: HMAC(key, `header` || `attributes`) must equal `mac`. Compare in constant time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntegrityInput<'a> {
    /// The header with its length patched as if the integrity attribute were the last.
    pub header: [u8; HEADER_LEN],
    /// The attributes in front of the integrity attribute.
    pub attributes: &'a [u8],
    /// The MAC in the message: 20 bytes for SHA-1; 16 to 32 for (truncated) SHA-256.
    pub mac: &'a [u8],
}

impl<'a> Message<'a> {
    /// Parses exactly one message, as a UDP datagram holds it.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let message_type = u16_at(datagram, 0)?;
        let len = usize::from(u16_at(datagram, 2)?);
        if message_type & 0xc000 != 0 || u32_at(datagram, 4)? != MAGIC_COOKIE {
            return Err(ParseError::Protocol);
        }
        let transaction = TransactionId(array_at(datagram, 8)?);
        if !len.is_multiple_of(4) || datagram.len() != HEADER_LEN + len {
            return Err(ParseError::Length);
        }
        let (class, method) = split_type(message_type);
        let mut message = Self {
            bytes: datagram,
            class,
            method,
            transaction,
            readable_end: datagram.len(),
            integrity_at: None,
            integrity_sha256_at: None,
            fingerprint_at: None,
        };
        message.index()?;
        Ok(message)
    }

    /// Checks the framing of every attribute and notes the special ones.
    fn index(&mut self) -> Result<(), ParseError> {
        let mut at = HEADER_LEN;
        while at < self.bytes.len() {
            if self.fingerprint_at.is_some() {
                return Err(ParseError::Value);
            }
            let (found, next) = attribute_at(self.bytes, at)?;
            match found.kind {
                attribute::FINGERPRINT if found.value.len() == 4 => self.fingerprint_at = Some(at),
                attribute::MESSAGE_INTEGRITY if self.integrity_at.is_none() => {
                    if found.value.len() != 20 {
                        return Err(ParseError::Length);
                    }
                    self.integrity_at = Some(at);
                    self.readable_end = self.readable_end.min(at);
                }
                attribute::MESSAGE_INTEGRITY_SHA256 if self.integrity_sha256_at.is_none() => {
                    if !matches!(found.value.len(), 16 | 20 | 24 | 28 | 32) {
                        return Err(ParseError::Length);
                    }
                    self.integrity_sha256_at = Some(at);
                    self.readable_end = self.readable_end.min(at);
                }
                attribute::FINGERPRINT => return Err(ParseError::Length),
                _ => {}
            }
            at = next;
        }
        Ok(())
    }

    /// Request, indication or response.
    pub fn class(&self) -> Class {
        self.class
    }

    /// What it is about.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Bytes of the whole message.
    #[allow(clippy::len_without_is_empty)] // It has a header at least.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Matches request and response.
    pub fn transaction_id(&self) -> TransactionId {
        self.transaction
    }

    /// The attributes in message order, up to the first integrity attribute (that one excluded).
    pub fn attributes(&self) -> Attributes<'a> {
        let end = self.fingerprint_at.map_or(self.readable_end, |at| at.min(self.readable_end));
        Attributes { rest: &self.bytes[HEADER_LEN..end] }
    }

    /// The value of the first readable attribute of this type.
    pub fn find(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// USERNAME: in ICE checks "receiver's ufrag:sender's ufrag".
    pub fn username(&self) -> Option<&'a str> {
        self.text(attribute::USERNAME)
    }

    /// REALM.
    pub fn realm(&self) -> Option<&'a str> {
        self.text(attribute::REALM)
    }

    /// NONCE.
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.find(attribute::NONCE)
    }

    /// SOFTWARE.
    pub fn software(&self) -> Option<&'a str> {
        self.text(attribute::SOFTWARE)
    }

    fn text(&self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.find(kind)?).ok()
    }

    /// PRIORITY of the candidate that the check may create.
    pub fn priority(&self) -> Option<u32> {
        u32_at(self.find(attribute::PRIORITY)?, 0).ok()
    }

    /// Whether the controlling side nominates this pair.
    pub fn use_candidate(&self) -> bool {
        self.find(attribute::USE_CANDIDATE).is_some()
    }

    /// Tie-breaker of a controlling sender.
    pub fn ice_controlling(&self) -> Option<u64> {
        u64_at(self.find(attribute::ICE_CONTROLLING)?, 0).ok()
    }

    /// Tie-breaker of a controlled sender.
    pub fn ice_controlled(&self) -> Option<u64> {
        u64_at(self.find(attribute::ICE_CONTROLLED)?, 0).ok()
    }

    /// XOR-MAPPED-ADDRESS.
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        self.xor_address(attribute::XOR_MAPPED_ADDRESS)
    }

    /// Any attribute that is encoded like XOR-MAPPED-ADDRESS.
    pub fn xor_address(&self, kind: u16) -> Option<SocketAddr> {
        address::parse_xor(self.find(kind)?, self.transaction).ok()
    }

    /// All attributes of a kind that is encoded like XOR-MAPPED-ADDRESS, in message order.
    pub fn xor_addresses(&self, kind: u16) -> impl Iterator<Item = Result<SocketAddr, ParseError>> + 'a {
        let transaction = self.transaction;
        self.attributes()
            .filter(move |attribute| attribute.kind == kind)
            .map(move |attribute| address::parse_xor(attribute.value, transaction))
    }

    /// ERROR-CODE: the number (300-699) and the reason phrase.
    pub fn error_code(&self) -> Option<(u16, &'a str)> {
        let value = self.find(attribute::ERROR_CODE)?;
        let &[_, _, class, number] = value.first_chunk()?;
        let (class, number) = (u16::from(class & 0x07), u16::from(number));
        if !(3..=6).contains(&class) || number > 99 {
            return None;
        }
        Some((100 * class + number, std::str::from_utf8(&value[4..]).unwrap_or_default()))
    }

    /// Attributes that must be understood and are not: a request with any gets error 420.
    pub fn unknown_required(&self) -> impl Iterator<Item = u16> + 'a {
        self.attributes().map(|attribute| attribute.kind).filter(|kind| *kind < 0x8000 && !attribute::is_known(*kind))
    }

    /// What MESSAGE-INTEGRITY (HMAC-SHA1) covers, or `None` without one.
    pub fn integrity_input(&self) -> Option<IntegrityInput<'a>> {
        self.mac_input(self.integrity_at?)
    }

    /// What MESSAGE-INTEGRITY-SHA256 covers, or `None` without one.
    pub fn integrity_sha256_input(&self) -> Option<IntegrityInput<'a>> {
        self.mac_input(self.integrity_sha256_at?)
    }

    fn mac_input(&self, at: usize) -> Option<IntegrityInput<'a>> {
        let (attribute, next) = attribute_at(self.bytes, at).ok()?;
        let mut header = array_at::<HEADER_LEN>(self.bytes, 0).ok()?;
        header[2..4].copy_from_slice(&((next - HEADER_LEN) as u16).to_be_bytes());
        Some(IntegrityInput { header, attributes: self.bytes.get(HEADER_LEN..at)?, mac: attribute.value })
    }

    /// Whether FINGERPRINT matches, or `None` without one.
    pub fn fingerprint_ok(&self) -> Option<bool> {
        let at = self.fingerprint_at?;
        let expected = u32_at(self.bytes, at + 4).ok()?;
        Some(crc::fingerprint(self.bytes.get(..at)?) == expected)
    }
}

/// Iterator over attributes, made by [`Message::attributes`].
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (attribute, next) = attribute_at(self.rest, 0).ok()?;
        self.rest = self.rest.get(next..)?;
        Some(attribute)
    }
}

/// The attribute at an offset and the offset of the next one.
fn attribute_at(bytes: &[u8], at: usize) -> Result<(Attribute<'_>, usize), ParseError> {
    let kind = u16_at(bytes, at)?;
    let len = usize::from(u16_at(bytes, at + 2)?);
    let next = at + 4 + len.next_multiple_of(4);
    if next > bytes.len() {
        return Err(ParseError::Truncated);
    }
    Ok((Attribute { kind, value: &bytes[at + 4..at + 4 + len] }, next))
}
