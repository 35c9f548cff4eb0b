//! The RTP header (RFC 3550 §5.1) with its extension block (RFC 8285).
//!
//! Header and payload are parsed apart because SRTP leaves the header readable and hides the padding count:
//! [`parse_header`] before decryption, [`RtpPacket::from_header`] after.

use crate::bytes::{u16_at, u32_at};
use crate::ext::ExtensionBlock;
use crate::{ParseError, PayloadType, RtpTimestamp, SeqNo, Ssrc};

/// Bytes of a header without CSRCs and extension.
pub const FIXED_HEADER_LEN: usize = 12;

/// Everything in front of the payload, by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Payload type, 0-127.
    pub payload_type: PayloadType,
    /// Marker bit: last packet of a video frame, first of a talk spurt.
    pub marker: bool,
    /// The payload ends with padding whose last byte counts it.
    pub padding: bool,
    /// An extension block follows the CSRCs.
    pub has_extension: bool,
    /// Contributing sources, 0-15.
    pub csrc_count: u8,
    /// Sequence number.
    pub seq: SeqNo,
    /// Media timestamp.
    pub timestamp: RtpTimestamp,
    /// Synchronisation source.
    pub ssrc: Ssrc,
    /// Bytes before the payload: fixed part, CSRCs and extension block.
    pub header_len: usize,
}

/// Parses the header and checks that it fits in `packet`; reads nothing of the payload.
#[inline]
pub fn parse_header(packet: &[u8]) -> Result<RtpHeader, ParseError> {
    let Some(&[first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3]) = packet.first_chunk::<FIXED_HEADER_LEN>()
    else {
        return Err(ParseError::Truncated);
    };
    if first >> 6 != VERSION {
        return Err(ParseError::Protocol);
    }
    let csrc_count = first & 0x0f;
    let has_extension = first & 0x10 != 0;
    let mut header_len = FIXED_HEADER_LEN + 4 * usize::from(csrc_count);
    if has_extension {
        header_len += 4 + 4 * usize::from(u16_at(packet, header_len + 2)?);
    }
    if header_len > packet.len() {
        return Err(ParseError::Truncated);
    }
    Ok(RtpHeader {
        payload_type: PayloadType(second & 0x7f),
        marker: second & 0x80 != 0,
        padding: first & 0x20 != 0,
        has_extension,
        csrc_count,
        seq: SeqNo(u16::from_be_bytes([s0, s1])),
        timestamp: RtpTimestamp(u32::from_be_bytes([t0, t1, t2, t3])),
        ssrc: Ssrc(u32::from_be_bytes([r0, r1, r2, r3])),
        header_len,
    })
}

impl RtpHeader {
    /// The extension block of the packet this header was parsed from.
    #[inline]
    pub fn extension<'a>(&self, packet: &'a [u8]) -> Option<ExtensionBlock<'a>> {
        if !self.has_extension {
            return None;
        }
        let start = FIXED_HEADER_LEN + 4 * usize::from(self.csrc_count);
        let profile = u16_at(packet, start).ok()?;
        Some(ExtensionBlock { profile, data: packet.get(start + 4..self.header_len)? })
    }
}

/// A cleartext RTP packet, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct RtpPacket<'a> {
    /// Payload type, 0-127.
    pub payload_type: PayloadType,
    /// Marker bit.
    pub marker: bool,
    /// Sequence number.
    pub seq: SeqNo,
    /// Media timestamp.
    pub timestamp: RtpTimestamp,
    /// Synchronisation source.
    pub ssrc: Ssrc,
    /// Contributing sources.
    pub csrcs: Csrcs<'a>,
    /// Bytes before the payload, the extension block included.
    pub header_len: usize,
    /// Header extensions.
    pub extension: Option<ExtensionBlock<'a>>,
    /// The payload without padding; empty on a padding-only packet.
    pub payload: &'a [u8],
    /// Bytes of padding behind the payload, its count byte included.
    pub padding_len: usize,
}

impl<'a> RtpPacket<'a> {
    /// Parses a whole cleartext packet.
    #[inline]
    pub fn parse(packet: &'a [u8]) -> Result<Self, ParseError> {
        Self::from_header(&parse_header(packet)?, packet)
    }

    /// Takes apart a decrypted packet whose `header` was parsed earlier.
    #[inline]
    pub fn from_header(header: &RtpHeader, packet: &'a [u8]) -> Result<Self, ParseError> {
        let body = packet.get(header.header_len..).ok_or(ParseError::Truncated)?;
        let padding_len = if header.padding { padding_len(body)? } else { 0 };
        let csrcs = packet.get(FIXED_HEADER_LEN..FIXED_HEADER_LEN + 4 * usize::from(header.csrc_count));
        Ok(Self {
            payload_type: header.payload_type,
            marker: header.marker,
            seq: header.seq,
            timestamp: header.timestamp,
            ssrc: header.ssrc,
            csrcs: Csrcs { bytes: csrcs.ok_or(ParseError::Truncated)? },
            header_len: header.header_len,
            extension: header.extension(packet),
            payload: &body[..body.len() - padding_len],
            padding_len,
        })
    }
}

fn padding_len(body: &[u8]) -> Result<usize, ParseError> {
    let count = usize::from(*body.last().ok_or(ParseError::Padding)?);
    if count == 0 || count > body.len() {
        return Err(ParseError::Padding);
    }
    Ok(count)
}

/// The contributing sources of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Csrcs<'a> {
    bytes: &'a [u8],
}

impl Csrcs<'_> {
    /// How many, 0-15.
    pub fn len(&self) -> usize {
        self.bytes.len() / 4
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Each source in packet order.
    pub fn iter(&self) -> impl Iterator<Item = Ssrc> {
        self.bytes.chunks_exact(4).map(|chunk| Ssrc(crate::bytes::u32_of(chunk)))
    }
}

/// What [`write_fixed_header`] puts in front of an (optional) extension block and the payload. No CSRCs, no padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedHeader {
    /// Payload type, 0-127.
    pub payload_type: PayloadType,
    /// Marker bit.
    pub marker: bool,
    /// An extension block written by [`crate::ext::Writer`] follows.
    pub has_extension: bool,
    /// Sequence number.
    pub seq: SeqNo,
    /// Media timestamp.
    pub timestamp: RtpTimestamp,
    /// Synchronisation source.
    pub ssrc: Ssrc,
}

/// Writes the 12 bytes of a header at the start of `buf`; `None` when they do not fit.
#[inline]
pub fn write_fixed_header(buf: &mut [u8], header: &FixedHeader) -> Option<usize> {
    let room = buf.first_chunk_mut::<FIXED_HEADER_LEN>()?;
    room[0] = (VERSION << 6) | (u8::from(header.has_extension) << 4);
    room[1] = (u8::from(header.marker) << 7) | (header.payload_type.0 & 0x7f);
    room[2..4].copy_from_slice(&header.seq.0.to_be_bytes());
    room[4..8].copy_from_slice(&header.timestamp.0.to_be_bytes());
    room[8..12].copy_from_slice(&header.ssrc.0.to_be_bytes());
    Some(FIXED_HEADER_LEN)
}

/// The SSRC of an RTP packet without parsing the rest.
#[inline]
pub fn peek_ssrc(packet: &[u8]) -> Result<Ssrc, ParseError> {
    u32_at(packet, 8).map(Ssrc)
}

/// The original sequence number in front of an RTX payload (RFC 4588 §4) and the payload behind it.
#[inline]
pub fn split_rtx_payload(payload: &[u8]) -> Result<(SeqNo, &[u8]), ParseError> {
    let original = u16_at(payload, 0)?;
    Ok((SeqNo(original), payload.get(2..).unwrap_or_default()))
}

const VERSION: u8 = 2;
