//! The packets that the publisher sends: VP8 of one size, one frame a burst, with the extensions that browsers send.

use forward::srtp::SrtpOutbound;

/// The publisher's RTP stream.
pub(crate) struct Stream {
    index: u64,
    timestamp: u32,
    picture: u16,
    twcc: u16,
}

impl Stream {
    /// A stream that starts anywhere but at zero.
    pub(crate) fn new() -> Self {
        Self { index: 4_711, timestamp: 90_000, picture: 17, twcc: 1 }
    }

    /// Writes one frame of `count` encrypted packets of `size` bytes each, one behind the other.
    pub(crate) fn write_frame(
        &mut self,
        out: &mut Vec<u8>,
        srtp: &mut SrtpOutbound,
        count: usize,
        size: usize,
        key: bool,
    ) {
        out.clear();
        self.picture = (self.picture + 1) & 0x7fff;
        self.timestamp = self.timestamp.wrapping_add(3_000);
        for number in 0..count {
            let start = out.len();
            out.resize(start + size, 0);
            let packet = &mut out[start..];
            self.write_header(packet, number + 1 == count);
            self.write_payload(&mut packet[HEADER_BYTES..], number == 0, key);
            let payload_len = size - HEADER_BYTES - srtp.tag_len();
            let written = srtp.protect_rtp(packet, HEADER_BYTES, payload_len, SSRC, self.index);
            assert_eq!(written, size, "one frame is one run of equal sizes");
            self.index += 1;
        }
    }

    fn write_header(&mut self, packet: &mut [u8], last: bool) {
        packet[0] = 0x90; // version 2, extension
        packet[1] = PAYLOAD_TYPE | if last { 0x80 } else { 0 };
        packet[2..4].copy_from_slice(&(self.index as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&SSRC.to_be_bytes());
        packet[12..16].copy_from_slice(&[0xbe, 0xde, 0, 3]);
        packet[16] = ABS_SEND_TIME_ID << 4 | 2;
        packet[20] = TWCC_ID << 4 | 1;
        packet[21..23].copy_from_slice(&self.twcc.to_be_bytes());
        packet[23] = MID_ID << 4;
        packet[24] = b'0';
        self.twcc = self.twcc.wrapping_add(1);
    }

    /// RFC 7741: a descriptor with 15-bit picture id, TL0PICIDX and TID, then the start of a frame.
    fn write_payload(&self, payload: &mut [u8], first: bool, key: bool) {
        let [high, low] = self.picture.to_be_bytes();
        payload[..6].copy_from_slice(&[0x80 | u8::from(first) << 4, 0xe0, 0x80 | high, low, self.picture as u8, 0x20]);
        if first {
            payload[6] = u8::from(!key);
            payload[9..12].copy_from_slice(&[0x9d, 0x01, 0x2a]);
            payload[12..16].copy_from_slice(&[0x00, 0x05, 0xd0, 0x02]); // 1280 x 720
        }
    }
}

const SSRC: u32 = 1_111;
const PAYLOAD_TYPE: u8 = 96;
const ABS_SEND_TIME_ID: u8 = 2;
const TWCC_ID: u8 = 3;
const MID_ID: u8 = 4;
/// Fixed header, and an extension block of three words.
const HEADER_BYTES: usize = 28;
