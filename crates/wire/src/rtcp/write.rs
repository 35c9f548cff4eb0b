//! Writers of single RTCP packets. Each fills the start of `buf` and returns the length, so that a compound is built by calling
//! them on the rest of the slice; `None` means that the packet did not fit or cannot be expressed, and `buf` may be scribbled on.

use super::{ReportBlock, format, packet_type};
use crate::bytes::Appender;
use crate::{RtpTimestamp, Ssrc};

/// Sender report with up to 31 report blocks.
pub fn write_sr(
    buf: &mut [u8],
    ssrc: Ssrc,
    ntp: u64,
    rtp_timestamp: RtpTimestamp,
    packet_count: u32,
    octet_count: u32,
    reports: &[ReportBlock],
) -> Option<usize> {
    packet(buf, packet_type::SR, count(reports.len())?, |out| {
        out.u32(ssrc.0).u64(ntp).u32(rtp_timestamp.0).u32(packet_count).u32(octet_count);
        for block in reports {
            block.append(out);
        }
    })
}

/// Receiver report with up to 31 report blocks.
pub fn write_rr(buf: &mut [u8], ssrc: Ssrc, reports: &[ReportBlock]) -> Option<usize> {
    packet(buf, packet_type::RR, count(reports.len())?, |out| {
        out.u32(ssrc.0);
        for block in reports {
            block.append(out);
        }
    })
}

/// Source description with the canonical name only; names over 255 bytes do not fit.
pub fn write_sdes_cname(buf: &mut [u8], ssrc: Ssrc, cname: &str) -> Option<usize> {
    let len = u8::try_from(cname.len()).ok()?;
    packet(buf, packet_type::SDES, 1, |out| {
        // The chunk ends with at least one zero byte (RFC 3550 §6.5).
        out.u32(ssrc.0).u8(SDES_CNAME).u8(len).put(cname.as_bytes()).u8(0).align4();
    })
}

/// Goodbye of up to 31 sources.
pub fn write_bye(buf: &mut [u8], ssrcs: &[Ssrc]) -> Option<usize> {
    packet(buf, packet_type::BYE, count(ssrcs.len())?, |out| {
        for ssrc in ssrcs {
            out.u32(ssrc.0);
        }
    })
}

/// Generic NACK. Ascending input packs best: 17 numbers in four bytes.
pub fn write_nack(buf: &mut [u8], sender: Ssrc, media: Ssrc, lost: &[u16]) -> Option<usize> {
    let (&first, rest) = lost.split_first()?;
    feedback(buf, packet_type::RTPFB, format::NACK, sender, media, |out| {
        let (mut base, mut mask) = (first, 0_u16);
        for &seq in rest {
            match seq.wrapping_sub(base) {
                0 => {}
                step @ 1..=16 => mask |= 1 << (step - 1),
                _ => {
                    out.u16(base).u16(mask);
                    (base, mask) = (seq, 0);
                }
            }
        }
        out.u16(base).u16(mask);
    })
}

/// Picture loss indication.
pub fn write_pli(buf: &mut [u8], sender: Ssrc, media: Ssrc) -> Option<usize> {
    feedback(buf, packet_type::PSFB, format::PLI, sender, media, |_| {})
}

/// Full intra request: (source, command sequence number) each.
pub fn write_fir(buf: &mut [u8], sender: Ssrc, entries: &[(Ssrc, u8)]) -> Option<usize> {
    if entries.is_empty() {
        return None;
    }
    feedback(buf, packet_type::PSFB, format::FIR, sender, Ssrc(0), |out| {
        for (ssrc, command) in entries {
            out.u32(ssrc.0).u32(u32::from(*command) << 24);
        }
    })
}

/// Receiver-estimated maximum bitrate in bits per second, rounded down to 18 significant bits.
pub fn write_remb(buf: &mut [u8], sender: Ssrc, bitrate: u64, ssrcs: &[Ssrc]) -> Option<usize> {
    let count = u8::try_from(ssrcs.len()).ok()?;
    let exponent = (u64::BITS - bitrate.leading_zeros()).saturating_sub(18);
    let mantissa = (bitrate >> exponent) as u32;
    feedback(buf, packet_type::PSFB, format::APPLICATION, sender, Ssrc(0), |out| {
        out.put(&format::REMB_NAME).u32((u32::from(count) << 24) | (exponent << 18) | mantissa);
        for ssrc in ssrcs {
            out.u32(ssrc.0);
        }
    })
}

pub(crate) fn feedback(
    buf: &mut [u8],
    packet_type: u8,
    format: u8,
    sender: Ssrc,
    media: Ssrc,
    body: impl FnOnce(&mut Appender<'_>),
) -> Option<usize> {
    packet(buf, packet_type, format, |out| {
        out.u32(sender.0).u32(media.0);
        body(out);
    })
}

fn packet(buf: &mut [u8], packet_type: u8, count: u8, body: impl FnOnce(&mut Appender<'_>)) -> Option<usize> {
    let mut out = Appender::new(buf);
    out.u8(0x80 | count).u8(packet_type).u16(0);
    body(&mut out);
    let len = out.finish()?;
    out.patch_u16(2, u16::try_from(len / 4 - 1).ok()?);
    Some(len)
}

fn count(items: usize) -> Option<u8> {
    u8::try_from(items).ok().filter(|count| *count <= 31)
}

const SDES_CNAME: u8 = 1;
