//! RTP packets and extension blocks.

use wire::ext::{self, ExtensionBlock, ExtensionMap, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE, Uri, Writer};
use wire::rtp::{self, FixedHeader, RtpPacket};

use crate::outcome::Outcome;

pub(super) fn rtp(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let header = match rtp::parse_header(input) {
        Ok(header) => header,
        Err(error) => return *outcome.error(error),
    };
    assert!(header.header_len <= input.len() && header.header_len >= rtp::FIXED_HEADER_LEN);
    assert_eq!(rtp::peek_ssrc(input), Ok(header.ssrc));
    let packet = match RtpPacket::parse(input) {
        Ok(packet) => packet,
        Err(error) => return *outcome.note(1_u8).error(error),
    };
    assert_eq!(packet.header_len + packet.payload.len() + packet.padding_len, input.len());
    assert_eq!(packet.csrcs.iter().count(), usize::from(header.csrc_count));
    assert_eq!(packet.extension.is_some(), header.has_extension);
    outcome.note(header.csrc_count).note(header.marker).note(packet.padding_len > 0).size(packet.payload.len());
    if let Some(block) = packet.extension {
        note_elements(&mut outcome, &block);
    }
    if let Ok((_, payload)) = rtp::split_rtx_payload(packet.payload) {
        assert_eq!(payload.len() + 2, packet.payload.len());
    }
    let fixed = FixedHeader {
        payload_type: packet.payload_type,
        marker: packet.marker,
        has_extension: header.has_extension,
        seq: packet.seq,
        timestamp: packet.timestamp,
        ssrc: packet.ssrc,
    };
    let mut buf = [0; rtp::FIXED_HEADER_LEN];
    assert_eq!(rtp::write_fixed_header(&mut buf, &fixed), Some(buf.len()));
    assert_eq!(buf[1..], input[1..rtp::FIXED_HEADER_LEN]);
    outcome
}

/// Input: the profile word, then the elements.
pub(super) fn ext(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let Some((profile, data)) = input.split_first_chunk::<2>() else {
        return outcome;
    };
    let block = ExtensionBlock { profile: u16::from_be_bytes(*profile), data };
    note_elements(&mut outcome, &block);
    writes_again(&block);
    outcome
}

fn note_elements(outcome: &mut Outcome, block: &ExtensionBlock<'_>) {
    let mut bytes = 0;
    let mut elements = 0;
    for (id, value) in block {
        assert_ne!(id, 0);
        bytes += 1 + value.len();
        elements += 1;
    }
    outcome.size(elements);
    assert!(bytes <= block.data.len());
    let parsed = ext::parse(block, &map());
    assert!(parsed.abs_send_time.is_none_or(|time| time < 1 << 24));
    assert!(parsed.audio_level.is_none_or(|(level, _)| level < 128));
    for token in [parsed.mid, parsed.rid, parsed.repaired_rid] {
        assert!(token.is_none_or(|token| !token.is_empty()));
        outcome.note(token.is_some());
    }
    outcome
        .note(parsed.twcc.is_some())
        .note(parsed.abs_send_time.is_some())
        .note(parsed.audio_level.is_some())
        .note(parsed.dependency_descriptor.is_some())
        .note(parsed.playout_delay.is_some())
        .note(parsed.video_orientation.is_some())
        .note(parsed.abs_capture_time.map_or(0, |value| value.len() as u64));
}

fn writes_again(block: &ExtensionBlock<'_>) {
    let two_byte = block.profile != ONE_BYTE_PROFILE;
    let mut buf = vec![0; block.data.len() + 8];
    let mut writer = Writer::new(&mut buf, two_byte);
    for (id, value) in block {
        assert!(writer.push(id, value), "an element of a block fits into as much room");
    }
    let len = writer.finish();
    assert_eq!(len % 4, 0);
    if len > 0 {
        let profile = if two_byte { TWO_BYTE_PROFILE } else { ONE_BYTE_PROFILE };
        let again = ExtensionBlock { profile, data: &buf[4..len] };
        assert!(again.iter().eq(block.iter()));
    }
}

/// The ids that Chromium offers, and a few that only two-byte headers can carry.
fn map() -> ExtensionMap {
    ExtensionMap::from_iter([
        (1, Uri::AudioLevel),
        (2, Uri::AbsSendTime),
        (3, Uri::TransportCc),
        (4, Uri::Mid),
        (5, Uri::PlayoutDelay),
        (10, Uri::Rid),
        (11, Uri::RepairedRid),
        (12, Uri::DependencyDescriptor),
        (13, Uri::VideoOrientation),
        (200, Uri::AbsCaptureTime),
    ])
}
