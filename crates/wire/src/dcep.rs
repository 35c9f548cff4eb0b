//! WebRTC Data Channel Establishment Protocol (RFC 8832 §5) and the payload protocol ids of RFC 8831 §8.

use crate::ParseError;
use crate::bytes::{Appender, u8_at, u16_at, u32_at};

/// SCTP payload protocol ids.
pub mod ppid {
    /// DCEP itself.
    pub const DCEP: u32 = 50;
    /// UTF-8 text.
    pub const STRING: u32 = 51;
    /// Binary.
    pub const BINARY: u32 = 53;
    /// Empty text, sent as one zero byte.
    pub const STRING_EMPTY: u32 = 56;
    /// Empty binary, sent as one zero byte.
    pub const BINARY_EMPTY: u32 = 57;
}

/// How hard a channel tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliability {
    /// Until it arrives.
    Reliable,
    /// At most this many retransmissions.
    MaxRetransmits(u32),
    /// For at most this many milliseconds.
    MaxLifetimeMs(u32),
}

/// A request to open a channel on the stream it arrives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open<'a> {
    /// Messages arrive in order.
    pub ordered: bool,
    /// How hard the channel tries.
    pub reliability: Reliability,
    /// Scheduling weight, RFC 8831 §6.4.
    pub priority: u16,
    /// Name given by the application.
    pub label: &'a str,
    /// Subprotocol, mostly empty.
    pub protocol: &'a str,
}

/// A DCEP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dcep<'a> {
    /// `DATA_CHANNEL_OPEN`.
    Open(Open<'a>),
    /// `DATA_CHANNEL_ACK`.
    Ack,
}

/// Parses one DCEP message (PPID 50).
pub fn parse(message: &[u8]) -> Result<Dcep<'_>, ParseError> {
    match u8_at(message, 0)? {
        MESSAGE_ACK => Ok(Dcep::Ack),
        MESSAGE_OPEN => parse_open(message).map(Dcep::Open),
        _ => Err(ParseError::Protocol),
    }
}

fn parse_open(message: &[u8]) -> Result<Open<'_>, ParseError> {
    let channel_type = u8_at(message, 1)?;
    let parameter = u32_at(message, 4)?;
    let reliability = match channel_type & !UNORDERED {
        TYPE_RELIABLE => Reliability::Reliable,
        TYPE_REXMIT => Reliability::MaxRetransmits(parameter),
        TYPE_TIMED => Reliability::MaxLifetimeMs(parameter),
        _ => return Err(ParseError::Value),
    };
    let label_end = OPEN_HEADER_LEN + usize::from(u16_at(message, 8)?);
    let protocol_end = label_end + usize::from(u16_at(message, 10)?);
    Ok(Open {
        ordered: channel_type & UNORDERED == 0,
        reliability,
        priority: u16_at(message, 2)?,
        label: text(message, OPEN_HEADER_LEN, label_end)?,
        protocol: text(message, label_end, protocol_end)?,
    })
}

fn text(message: &[u8], start: usize, end: usize) -> Result<&str, ParseError> {
    let bytes = message.get(start..end).ok_or(ParseError::Truncated)?;
    std::str::from_utf8(bytes).map_err(|_| ParseError::Value)
}

/// Writes a `DATA_CHANNEL_OPEN`; `None` when it does not fit or a text is longer than 65535 bytes.
pub fn write_open(buf: &mut [u8], open: &Open<'_>) -> Option<usize> {
    let (kind, parameter) = match open.reliability {
        Reliability::Reliable => (TYPE_RELIABLE, 0),
        Reliability::MaxRetransmits(count) => (TYPE_REXMIT, count),
        Reliability::MaxLifetimeMs(ms) => (TYPE_TIMED, ms),
    };
    let unordered = if open.ordered { 0 } else { UNORDERED };
    Appender::new(buf)
        .u8(MESSAGE_OPEN)
        .u8(kind | unordered)
        .u16(open.priority)
        .u32(parameter)
        .u16(u16::try_from(open.label.len()).ok()?)
        .u16(u16::try_from(open.protocol.len()).ok()?)
        .put(open.label.as_bytes())
        .put(open.protocol.as_bytes())
        .finish()
}

/// Writes a `DATA_CHANNEL_ACK`.
pub fn write_ack(buf: &mut [u8]) -> Option<usize> {
    Appender::new(buf).u8(MESSAGE_ACK).finish()
}

const MESSAGE_ACK: u8 = 0x02;
const MESSAGE_OPEN: u8 = 0x03;
const TYPE_RELIABLE: u8 = 0x00;
const TYPE_REXMIT: u8 = 0x01;
const TYPE_TIMED: u8 = 0x02;
const UNORDERED: u8 = 0x80;
const OPEN_HEADER_LEN: usize = 12;
