//! The decrypting side: index estimation, replay windows, authentication. In that order of cost, moved in the reverse order.

use aws_lc_rs::error::Unspecified;

use super::cipher::Cipher;
use super::keys::{KeyingMaterial, Master};
use super::replay::{ReplayTable, Verdict};
use super::{RTP_INDEX_END, SRTCP_ENCRYPTED};

/// The decrypting side of one transport.
pub struct SrtpInbound {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_seen: ReplayTable,
    rtcp_seen: ReplayTable,
}

/// Why a packet was not decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpRejection {
    /// Too short, or not encrypted at all.
    Malformed,
    /// The tag does not verify.
    BadAuthentication,
    /// Seen before.
    Replayed,
    /// Older than the window.
    TooOld,
}

impl SrtpInbound {
    /// For the server: what the client's key protects.
    pub fn from_client(keys: &KeyingMaterial) -> Result<Self, Unspecified> {
        Self::new(keys.client())
    }

    /// For a client: what the server's key protects.
    pub fn from_server(keys: &KeyingMaterial) -> Result<Self, Unspecified> {
        Self::new(keys.server())
    }

    fn new(master: Master<'_>) -> Result<Self, Unspecified> {
        Ok(Self {
            rtp: Cipher::for_rtp(master)?,
            rtcp: Cipher::for_rtcp(master)?,
            rtp_seen: ReplayTable::default(),
            rtcp_seen: ReplayTable::default(),
        })
    }

    /// Decrypts an SRTP packet in place; gives its 48-bit index and the plaintext's length.
    #[inline]
    pub fn unprotect_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        seq: u16,
    ) -> Result<(u64, usize), SrtpRejection> {
        if packet.len() < header_len + self.rtp.tag_len() {
            return Err(SrtpRejection::Malformed);
        }
        let index = estimate_index(self.rtp_seen.highest(ssrc), seq).ok_or(SrtpRejection::TooOld)?;
        refuse_seen(self.rtp_seen.check(ssrc, index))?;
        let len = self
            .rtp
            .open_rtp(packet, header_len, ssrc, index)
            .map_err(|Unspecified| SrtpRejection::BadAuthentication)?;
        self.rtp_seen.accept(ssrc, index);
        Ok((index, len))
    }

    /// Decrypts an SRTCP packet in place; gives the plaintext's length.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpRejection> {
        let word = self.rtcp.rtcp_word(packet).ok_or(SrtpRejection::Malformed)?;
        if word & SRTCP_ENCRYPTED == 0 {
            return Err(SrtpRejection::Malformed);
        }
        let ssrc = packet.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let ssrc = ssrc.ok_or(SrtpRejection::Malformed)?;
        let index = u64::from(word & !SRTCP_ENCRYPTED);
        refuse_seen(self.rtcp_seen.check(ssrc, index))?;
        let len = self.rtcp.open_rtcp(packet, ssrc, word).map_err(|Unspecified| SrtpRejection::BadAuthentication)?;
        self.rtcp_seen.accept(ssrc, index);
        Ok(len)
    }
}

fn refuse_seen(verdict: Verdict) -> Result<(), SrtpRejection> {
    match verdict {
        Verdict::New => Ok(()),
        Verdict::Replayed => Err(SrtpRejection::Replayed),
        Verdict::TooOld => Err(SrtpRejection::TooOld),
    }
}

/// RFC 3711 section 3.3.1 and appendix A: the index nearest to the highest so far; `None` before the first or beyond the last.
fn estimate_index(highest: Option<u64>, seq: u16) -> Option<u64> {
    let Some(highest) = highest else {
        return Some(u64::from(seq));
    };
    let distance = seq.wrapping_sub(highest as u16) as i16;
    highest.checked_add_signed(i64::from(distance)).filter(|index| *index < RTP_INDEX_END)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_the_nearest_index() {
        let roc = |roc: u64, seq: u16| Some(roc << 16 | u64::from(seq));
        assert_eq!(estimate_index(None, 40_000), roc(0, 40_000));
        assert_eq!(estimate_index(roc(0, 65_535), 0), roc(1, 0));
        assert_eq!(estimate_index(roc(1, 0), 65_535), roc(0, 65_535));
        assert_eq!(estimate_index(roc(7, 100), 32_867), roc(7, 32_867));
        assert_eq!(estimate_index(roc(7, 100), 32_869), roc(6, 32_869));
    }

    #[test]
    fn there_is_nothing_before_the_first_and_after_the_last_index() {
        assert_eq!(estimate_index(Some(3), 65_530), None);
        assert_eq!(estimate_index(Some(RTP_INDEX_END - 1), 0), None);
        assert_eq!(estimate_index(Some(RTP_INDEX_END - 1), 65_530), Some(RTP_INDEX_END - 6));
    }
}
