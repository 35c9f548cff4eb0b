//! SRTP and SRTCP (RFC 3711, RFC 7714) for the three profiles that browsers offer. Contexts keep their key schedules.

mod profile;

pub use profile::Profile;

/// The encrypting side of one transport.
pub struct SrtpOutbound;

impl SrtpOutbound {
    /// How many bytes an RTP packet grows.
    pub fn tag_len(&self) -> usize {
        todo!()
    }

    /// Encrypts `packet[..header_len + payload_len]` in place and puts the tag behind; gives the total length.
    ///
    /// `index` is 48 bits (roll-over counter and sequence number), kept by the caller and never used twice for one SSRC.
    /// 0 means that nothing may be sent: the index space is used up.
    pub fn protect_rtp(&mut self, _packet: &mut [u8], _header_len: usize, _payload_len: usize, _ssrc: u32, _index: u64) -> usize {
        todo!()
    }

    /// Encrypts the compound RTCP packet in `packet[..len]` in place; gives the total length, 0 when the index space is used up.
    pub fn protect_rtcp(&mut self, _packet: &mut [u8], _len: usize) -> usize {
        todo!()
    }
}
