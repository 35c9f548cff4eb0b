//! RTCP compound packets: reports (RFC 3550 §6), feedback (RFC 4585, RFC 5104), REMB and transport-wide feedback.
//!
//! Reduced-size compounds (RFC 5506) are welcome: any packet may come first.

mod feedback;
mod report;
mod write;

pub use feedback::{FirEntries, LostSeqs, Ssrcs};
pub use report::{ReportBlock, ReportBlocks};
pub use write::{write_bye, write_fir, write_nack, write_pli, write_remb, write_rr, write_sdes_cname, write_sr};

use crate::bytes::{u8_at, u16_at, u32_at, u64_at};
use crate::twcc;
use crate::{ParseError, RtpTimestamp, Ssrc};

/// Packet types (RFC 3550 §12.1, RFC 4585 §6.1).
pub mod packet_type {
    #![allow(missing_docs)]
    pub const SR: u8 = 200;
    pub const RR: u8 = 201;
    pub const SDES: u8 = 202;
    pub const BYE: u8 = 203;
    pub const RTPFB: u8 = 205;
    pub const PSFB: u8 = 206;
}

pub(crate) mod format {
    pub(crate) const NACK: u8 = 1;
    pub(crate) const TRANSPORT_CC: u8 = 15;
    pub(crate) const PLI: u8 = 1;
    pub(crate) const FIR: u8 = 4;
    pub(crate) const APPLICATION: u8 = 15;
    /// "Unique identifier" of draft-alvestrand-rmcat-remb-03 §2.2.
    pub(crate) const REMB_NAME: [u8; 4] = *b"REMB";
}

/// One packet of a compound.
#[derive(Debug, Clone)]
pub enum Rtcp<'a> {
    /// What a sender has sent, with its clock.
    SenderReport {
        /// Reporting sender.
        ssrc: Ssrc,
        /// NTP time, 32.32 fixed point seconds.
        ntp: u64,
        /// The same instant on the media clock.
        rtp_timestamp: RtpTimestamp,
        /// RTP packets sent, wrapping.
        packet_count: u32,
        /// Payload bytes sent, wrapping.
        octet_count: u32,
        /// What it receives.
        reports: ReportBlocks<'a>,
    },
    /// What a receiver receives.
    ReceiverReport {
        /// Reporting receiver.
        ssrc: Ssrc,
        /// One block per source.
        reports: ReportBlocks<'a>,
    },
    /// Source description chunks, undecoded.
    Sdes {
        /// Number of chunks announced.
        count: u8,
        /// The chunks.
        raw: &'a [u8],
    },
    /// Sources that leave.
    Bye {
        /// The leaving sources.
        ssrcs: Ssrcs<'a>,
    },
    /// Generic NACK (RFC 4585 §6.2.1).
    Nack {
        /// Who asks.
        sender: Ssrc,
        /// Whose packets are missing.
        media: Ssrc,
        /// The missing sequence numbers.
        lost: LostSeqs<'a>,
    },
    /// Picture loss indication.
    Pli {
        /// Who asks.
        sender: Ssrc,
        /// Who shall send a keyframe.
        media: Ssrc,
    },
    /// Full intra request (RFC 5104 §4.3.1).
    Fir {
        /// Who asks.
        sender: Ssrc,
        /// (Who shall send a keyframe, command sequence number.)
        entries: FirEntries<'a>,
    },
    /// Receiver-estimated maximum bitrate.
    Remb {
        /// Who estimates.
        sender: Ssrc,
        /// Bits per second.
        bitrate: u64,
        /// The streams the estimate covers.
        ssrcs: Ssrcs<'a>,
    },
    /// Transport-wide congestion control feedback.
    TransportFeedback(twcc::Feedback<'a>),
    /// A well-framed packet of another kind.
    Other {
        /// Packet type.
        packet_type: u8,
        /// The five bits behind the padding bit: count, subtype or format.
        count: u8,
        /// Everything behind the four-byte header, without padding.
        body: &'a [u8],
    },
}

/// The packets of a compound. The first malformed packet yields its error and ends the iteration.
#[inline]
pub fn iter(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound }
}

/// Iterator over a compound, made by [`iter`].
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Rtcp<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let result = split_packet(self.rest).and_then(|(packet, rest)| {
            self.rest = rest;
            parse_packet(&packet)
        });
        if result.is_err() {
            self.rest = &[];
        }
        Some(result)
    }
}

/// One packet with its header read and its padding removed.
struct Framed<'a> {
    packet_type: u8,
    count: u8,
    body: &'a [u8],
}

fn split_packet(bytes: &[u8]) -> Result<(Framed<'_>, &[u8]), ParseError> {
    let first = u8_at(bytes, 0)?;
    if first >> 6 != 2 {
        return Err(ParseError::Protocol);
    }
    let packet_type = u8_at(bytes, 1)?;
    let len = 4 + 4 * usize::from(u16_at(bytes, 2)?);
    let (packet, rest) = bytes.split_at_checked(len).ok_or(ParseError::Truncated)?;
    let mut body = &packet[4..];
    if first & 0x20 != 0 {
        let padding = usize::from(*body.last().ok_or(ParseError::Padding)?);
        // Not necessarily whole words: libwebrtc pads transport feedback by one to three bytes.
        if padding == 0 || padding > body.len() {
            return Err(ParseError::Padding);
        }
        body = &body[..body.len() - padding];
    }
    Ok((Framed { packet_type, count: first & 0x1f, body }, rest))
}

fn parse_packet<'a>(packet: &Framed<'a>) -> Result<Rtcp<'a>, ParseError> {
    let Framed { packet_type, count, body } = *packet;
    match (packet_type, count) {
        (packet_type::SR, _) => Ok(Rtcp::SenderReport {
            ssrc: Ssrc(u32_at(body, 0)?),
            ntp: u64_at(body, 4)?,
            rtp_timestamp: RtpTimestamp(u32_at(body, 12)?),
            packet_count: u32_at(body, 16)?,
            octet_count: u32_at(body, 20)?,
            reports: ReportBlocks::parse(&body[24..], count)?,
        }),
        (packet_type::RR, _) => {
            Ok(Rtcp::ReceiverReport { ssrc: Ssrc(u32_at(body, 0)?), reports: ReportBlocks::parse(&body[4..], count)? })
        }
        (packet_type::SDES, _) => Ok(Rtcp::Sdes { count, raw: body }),
        (packet_type::BYE, _) => Ok(Rtcp::Bye { ssrcs: Ssrcs::parse(body, usize::from(count))? }),
        (packet_type::RTPFB, format::NACK) => {
            let (sender, media) = feedback::parties(body)?;
            Ok(Rtcp::Nack { sender, media, lost: LostSeqs::parse(&body[8..])? })
        }
        (packet_type::RTPFB, format::TRANSPORT_CC) => twcc::Feedback::parse(body).map(Rtcp::TransportFeedback),
        (packet_type::PSFB, format::PLI) => {
            let (sender, media) = feedback::parties(body)?;
            Ok(Rtcp::Pli { sender, media })
        }
        (packet_type::PSFB, format::FIR) => {
            let (sender, _) = feedback::parties(body)?;
            Ok(Rtcp::Fir { sender, entries: FirEntries::parse(&body[8..])? })
        }
        (packet_type::PSFB, format::APPLICATION) if body.get(8..12) == Some(&format::REMB_NAME) => {
            let (sender, _) = feedback::parties(body)?;
            let (bitrate, ssrcs) = feedback::parse_remb(&body[12..])?;
            Ok(Rtcp::Remb { sender, bitrate, ssrcs })
        }
        _ => Ok(Rtcp::Other { packet_type, count, body }),
    }
}
