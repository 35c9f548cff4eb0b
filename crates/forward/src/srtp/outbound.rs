//! The encrypting side. RTP indices belong to the caller; the SRTCP index is kept here.

use aws_lc_rs::error::Unspecified;

use super::cipher::Cipher;
use super::keys::{KeyingMaterial, Master};
use super::{RTCP_INDEX_END, RTP_INDEX_END};

/// The encrypting side of one transport.
pub struct SrtpOutbound {
    rtp: Cipher,
    rtcp: Cipher,
    /// One counter for all sender SSRCs: no index is used twice, no table grows, and gaps are no matter to a receiver.
    next_rtcp_index: u32,
}

impl SrtpOutbound {
    /// For the server: protects with the server's key.
    pub fn to_client(keys: &KeyingMaterial) -> Result<Self, Unspecified> {
        Self::new(keys.server())
    }

    /// For a client: protects with the client's key.
    pub fn to_server(keys: &KeyingMaterial) -> Result<Self, Unspecified> {
        Self::new(keys.client())
    }

    fn new(master: Master<'_>) -> Result<Self, Unspecified> {
        Ok(Self { rtp: Cipher::for_rtp(master)?, rtcp: Cipher::for_rtcp(master)?, next_rtcp_index: 0 })
    }

    /// How many bytes an RTP packet grows.
    pub fn tag_len(&self) -> usize {
        self.rtp.tag_len()
    }

    /// How many bytes a compound RTCP packet grows.
    pub fn rtcp_overhead(&self) -> usize {
        self.rtcp.tag_len() + 4
    }

    /// Encrypts `packet[..header_len + payload_len]` in place and puts the tag behind; gives the total length.
    ///
    /// `index` is 48 bits (roll-over counter and sequence number), kept by the caller and never used twice for one SSRC.
    /// 0 means that nothing may be sent: the index space is used up, or there is no room for the tag.
    #[inline]
    pub fn protect_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        payload_len: usize,
        ssrc: u32,
        index: u64,
    ) -> usize {
        if index >= RTP_INDEX_END {
            return 0;
        }
        self.rtp.seal_rtp(packet, header_len, header_len + payload_len, ssrc, index).unwrap_or(0)
    }

    /// Encrypts the compound RTCP packet in `packet[..len]` in place; gives the total length.
    ///
    /// 0 means that nothing may be sent: the index space is used up, or there is no room for index and tag.
    pub fn protect_rtcp(&mut self, packet: &mut [u8], len: usize) -> usize {
        let Some(ssrc) = packet.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes) else {
            return 0;
        };
        let index = self.next_rtcp_index;
        if index >= RTCP_INDEX_END {
            return 0;
        }
        // Counted even when sealing fails: a skipped index is harmless, a repeated one is not.
        self.next_rtcp_index += 1;
        self.rtcp.seal_rtcp(packet, len, ssrc, index).unwrap_or(0)
    }

    #[cfg(test)]
    pub(super) fn set_next_rtcp_index(&mut self, index: u32) {
        self.next_rtcp_index = index;
    }
}
