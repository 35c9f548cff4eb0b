//! RTP headers of one consumer: a template with holes for what changes per packet.
//!
//! Hop-by-hop extensions (transport-wide number, send time, MID) are ours and stand at fixed places; what passes through
//! follows. Everything is in the one-byte form unless a value or an id needs the two-byte form (RFC 8285).

use wire::ext::{ExtensionMap, ONE_BYTE_PROFILE, Uri, Writer};

use super::Passthrough;

/// What differs between packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderFields {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) padding: bool,
    pub(crate) seq: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
}

/// What is stamped at departure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamps {
    pub(crate) twcc: u16,
    pub(crate) abs_send_time: [u8; 3],
}

/// The extension block of packets without pass-through, ready to be copied.
#[derive(Debug, Clone)]
pub(crate) struct HeaderTemplate {
    bytes: [u8; TEMPLATE_LEN],
    /// End of the elements, counted from the packet's start; the block is padded to four behind it.
    elements_end: u8,
    /// Where the values go; 0 when not negotiated.
    twcc_at: u8,
    abs_send_time_at: u8,
    /// An id of ours needs the two-byte form.
    two_byte: bool,
    mid: String,
    /// In place of the publisher's.
    playout_delay: Option<[u8; 3]>,
}

impl HeaderTemplate {
    /// `playout_delay`: minimum and maximum in units of 10 ms, 12 bits each.
    pub(crate) fn new(ids: &ExtensionMap, mid: &str, playout_delay: Option<(u16, u16)>) -> Self {
        let mut template = Self {
            bytes: [0; TEMPLATE_LEN],
            elements_end: BLOCK_START as u8,
            twcc_at: 0,
            abs_send_time_at: 0,
            two_byte: false,
            mid: mid.to_owned(),
            playout_delay: playout_delay.map(encode_playout_delay),
        };
        template.twcc_at = template.append(ids.id(Uri::TransportCc), &[0; 2]);
        template.abs_send_time_at = template.append(ids.id(Uri::AbsSendTime), &[0; 3]);
        template.append(ids.id(Uri::Mid), mid.as_bytes());
        if let Some(delay) = template.playout_delay {
            template.append(ids.id(Uri::PlayoutDelay), &delay);
        }
        template
    }

    /// Whether packets carry a transport-wide number.
    #[inline]
    pub(crate) fn has_twcc(&self) -> bool {
        self.twcc_at != 0 || self.two_byte
    }

    fn append(&mut self, id: Option<u8>, value: &[u8]) -> u8 {
        let Some(id) = id else { return 0 };
        if !fits_one_byte(id, value) {
            self.two_byte = true;
            return 0;
        }
        let at = usize::from(self.elements_end) + 1;
        self.bytes[at - 1] = (id << 4) | (value.len() as u8 - 1);
        self.bytes[at..at + value.len()].copy_from_slice(value);
        self.elements_end = (at + value.len()) as u8;
        at as u8
    }

    /// Writes a whole header at the start of `buf`, which has room for `max_len(passthrough)`; gives its length.
    #[inline]
    pub(crate) fn write(
        &self,
        buf: &mut [u8],
        fields: &HeaderFields,
        stamps: Stamps,
        passthrough: Passthrough<'_>,
        ids: &ExtensionMap,
    ) -> usize {
        let len = if self.two_byte {
            self.write_two_byte(buf, stamps, passthrough, ids)
        } else {
            self.write_one_byte(buf, stamps, passthrough, ids)
                .unwrap_or_else(|| self.write_two_byte(buf, stamps, passthrough, ids))
        };
        let has_extension = len > FIXED_LEN;
        buf[0] = 0x80 | (u8::from(fields.padding) << 5) | (u8::from(has_extension) << 4);
        buf[1] = (u8::from(fields.marker) << 7) | (fields.payload_type & 0x7f);
        buf[2..4].copy_from_slice(&fields.seq.to_be_bytes());
        buf[4..8].copy_from_slice(&fields.timestamp.to_be_bytes());
        buf[8..12].copy_from_slice(&fields.ssrc.to_be_bytes());
        len
    }

    /// The block in the one-byte form; `None` when an element does not fit that form.
    #[inline]
    fn write_one_byte(
        &self,
        buf: &mut [u8],
        stamps: Stamps,
        passthrough: Passthrough<'_>,
        ids: &ExtensionMap,
    ) -> Option<usize> {
        buf[..TEMPLATE_LEN].copy_from_slice(&self.bytes);
        if self.twcc_at != 0 {
            let at = usize::from(self.twcc_at);
            buf[at..at + 2].copy_from_slice(&stamps.twcc.to_be_bytes());
        }
        if self.abs_send_time_at != 0 {
            let at = usize::from(self.abs_send_time_at);
            buf[at..at + 3].copy_from_slice(&stamps.abs_send_time);
        }
        let mut end = usize::from(self.elements_end);
        for (uri, value) in passthrough.iter().filter(|(uri, _)| self.passes(*uri)) {
            let Some(id) = ids.id(uri) else { continue };
            if !fits_one_byte(id, value) {
                return None;
            }
            buf[end] = (id << 4) | (value.len() as u8 - 1);
            buf[end + 1..=end + value.len()].copy_from_slice(value);
            end += 1 + value.len();
        }
        if end == BLOCK_START {
            return Some(FIXED_LEN);
        }
        let padded = end.next_multiple_of(4);
        buf[end..padded].fill(0);
        buf[FIXED_LEN..FIXED_LEN + 2].copy_from_slice(&ONE_BYTE_PROFILE.to_be_bytes());
        buf[FIXED_LEN + 2..BLOCK_START].copy_from_slice(&(((padded - BLOCK_START) / 4) as u16).to_be_bytes());
        Some(padded)
    }

    #[cold]
    fn write_two_byte(
        &self,
        buf: &mut [u8],
        stamps: Stamps,
        passthrough: Passthrough<'_>,
        ids: &ExtensionMap,
    ) -> usize {
        let mut writer = Writer::new(&mut buf[FIXED_LEN..], true);
        let twcc = stamps.twcc.to_be_bytes();
        let ours =
            [(Uri::TransportCc, &twcc[..]), (Uri::AbsSendTime, &stamps.abs_send_time), (Uri::Mid, self.mid.as_bytes())];
        let delay = self.playout_delay.as_ref().map(|delay| (Uri::PlayoutDelay, &delay[..]));
        let passing = passthrough.iter().filter(|(uri, _)| self.passes(*uri));
        for (uri, value) in ours.into_iter().chain(delay).chain(passing) {
            if let Some(id) = ids.id(uri) {
                writer.push(id, value);
            }
        }
        FIXED_LEN + writer.finish()
    }

    /// Whether this one is sent as the publisher sent it.
    #[inline]
    fn passes(&self, uri: Uri) -> bool {
        uri != Uri::PlayoutDelay || self.playout_delay.is_none()
    }

    /// Room for a header.
    #[inline]
    pub(crate) fn max_len(&self, passthrough: Passthrough<'_>) -> usize {
        TEMPLATE_LEN + self.mid.len() + passthrough.0.len() + 16
    }
}

fn encode_playout_delay((min, max): (u16, u16)) -> [u8; 3] {
    let bits = (u32::from(min.min(MAX_DELAY)) << 12) | u32::from(max.min(MAX_DELAY));
    let [_, high, middle, low] = bits.to_be_bytes();
    [high, middle, low]
}

#[inline]
fn fits_one_byte(id: u8, value: &[u8]) -> bool {
    (1..=14).contains(&id) && (1..=16).contains(&value.len())
}

const FIXED_LEN: usize = wire::rtp::FIXED_HEADER_LEN;
const BLOCK_START: usize = FIXED_LEN + 4;
/// Transport-wide number 3, send time 4, MID at most 17, playout delay 4.
const TEMPLATE_LEN: usize = BLOCK_START + 28;
/// 40.95 s, all that 12 bits hold.
const MAX_DELAY: u16 = 0xfff;

#[cfg(test)]
mod tests {
    use wire::ext::Parsed;
    use wire::rtp::RtpPacket;

    use super::*;

    const FIELDS: HeaderFields =
        HeaderFields { payload_type: 96, marker: true, padding: false, seq: 7, timestamp: 9, ssrc: 11 };
    const STAMPS: Stamps = Stamps { twcc: 0x1234, abs_send_time: [1, 2, 3] };

    fn write<'a>(ids: &ExtensionMap, parsed: &Parsed<'_>, buf: &'a mut [u8; 1_500]) -> RtpPacket<'a> {
        let mut scratch = [0; super::super::passthrough::MAX_LEN];
        let passthrough = Passthrough::write(parsed, &mut scratch);
        let template = HeaderTemplate::new(ids, "17", None);
        let max = template.max_len(passthrough);
        let len = template.write(&mut buf[..max], &FIELDS, STAMPS, passthrough, ids);
        RtpPacket::parse(&buf[..len]).unwrap()
    }

    fn ids(pairs: &[(u8, Uri)]) -> ExtensionMap {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_header_without_extensions_is_twelve_bytes() {
        let mut buf = [0xff; 1_500];
        let packet =
            write(&ExtensionMap::new(), &Parsed { audio_level: Some((1, true)), ..Parsed::default() }, &mut buf);
        assert_eq!((packet.header_len, packet.seq.0, packet.ssrc.0), (12, 7, 11));
        assert!(packet.marker);
    }

    #[test]
    fn our_stamps_and_what_passes_through_read_back() {
        let ids =
            ids(&[(1, Uri::Mid), (2, Uri::TransportCc), (3, Uri::AbsSendTime), (4, Uri::AudioLevel), (5, Uri::Rid)]);
        let mut buf = [0xff; 1_500];
        let said = Parsed { audio_level: Some((20, true)), rid: Some("h"), ..Parsed::default() };
        let packet = write(&ids, &said, &mut buf);
        let block = packet.extension.unwrap();
        assert_eq!(block.profile, ONE_BYTE_PROFILE);
        let parsed = wire::ext::parse(&block, &ids);
        assert_eq!(parsed.mid, Some("17"));
        assert_eq!(parsed.rid, None);
        assert_eq!((parsed.twcc, parsed.abs_send_time), (Some(0x1234), Some(0x0001_0203)));
        assert_eq!(parsed.audio_level, Some((20, true)));
    }

    #[test]
    fn a_playout_delay_of_ours_takes_the_place_of_the_publishers() {
        let said = Parsed { playout_delay: Some(&[9, 9, 9]), audio_level: Some((1, false)), ..Parsed::default() };
        let mut scratch = [0; super::super::passthrough::MAX_LEN];
        let passthrough = Passthrough::write(&said, &mut scratch);
        for mid_id in [1, 200] {
            let ids = ids(&[(mid_id, Uri::Mid), (2, Uri::PlayoutDelay), (3, Uri::AudioLevel)]);
            for (ours, expected) in
                [(None, [9, 9, 9]), (Some((10, 40_000)), [0, 0xaf, 0xff]), (Some((0, 1)), [0, 0, 1])]
            {
                let template = HeaderTemplate::new(&ids, "17", ours);
                let mut buf = [0xff; 1_500];
                let max = template.max_len(passthrough);
                let len = template.write(&mut buf[..max], &FIELDS, STAMPS, passthrough, &ids);
                let packet = RtpPacket::parse(&buf[..len]).unwrap();
                let delays = packet.extension.unwrap().iter().filter(|(id, _)| *id == 2).collect::<Vec<_>>();
                assert_eq!(delays, [(2, &expected[..])]);
            }
        }
    }

    #[test]
    fn a_long_value_or_a_high_id_takes_the_two_byte_form() {
        let descriptor = [7; 90];
        let said = Parsed { dependency_descriptor: Some(&descriptor), ..Parsed::default() };
        for pairs in [
            [(1, Uri::Mid), (2, Uri::TransportCc), (3, Uri::DependencyDescriptor)],
            [(15, Uri::Mid), (2, Uri::TransportCc), (3, Uri::DependencyDescriptor)],
            [(1, Uri::Mid), (200, Uri::TransportCc), (3, Uri::DependencyDescriptor)],
        ] {
            let ids = ids(&pairs);
            let mut buf = [0xff; 1_500];
            let packet = write(&ids, &said, &mut buf);
            let parsed = wire::ext::parse(&packet.extension.unwrap(), &ids);
            assert_eq!((parsed.mid, parsed.twcc), (Some("17"), Some(0x1234)));
            assert_eq!(parsed.dependency_descriptor, Some(&descriptor[..]));
        }
    }
}
