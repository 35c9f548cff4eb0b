//! Packets captured from Chromium and the Python SDK mean to our parsers what those clients meant.

use fuzz::corpus::{self, Entry, GENERATED_PREFIX};
use wire::codec;
use wire::dcep::{self, Dcep};
use wire::ext::{ExtensionMap, Uri};
use wire::rtcp::{self, Rtcp};
use wire::rtp::RtpPacket;
use wire::stun::{Class, Message, Method};
use wire::twcc::Feedback;

fn captured(target: &str) -> Vec<Entry> {
    let mut entries = corpus::load(target).expect(target);
    entries.retain(|entry| !entry.name.starts_with(GENERATED_PREFIX));
    for client in ["chromium", "python"] {
        assert!(entries.iter().any(|entry| entry.name.starts_with(client)), "{target}: nothing of {client}");
    }
    entries
}

#[test]
fn checks_name_both_sides_and_are_whole() {
    for entry in captured("stun") {
        let message = Message::parse(&entry.bytes).expect(&entry.name);
        assert_eq!((message.class(), message.method()), (Class::Request, Method::BINDING));
        assert!(message.username().is_some_and(|name| name.contains(':')), "{}", entry.name);
        assert_eq!(message.fingerprint_ok(), Some(true), "{}", entry.name);
        assert_eq!(message.integrity_input().map(|input| input.mac.len()), Some(20));
        assert!(message.priority().is_some() && message.ice_controlling().is_some(), "{}", entry.name);
        assert_eq!(message.unknown_required().next(), None, "{}", entry.name);
    }
}

#[test]
fn packets_carry_extensions_that_are_read() {
    for entry in captured("rtp") {
        let packet = RtpPacket::parse(&entry.bytes).expect(&entry.name);
        let block = packet.extension.expect("the captured clients always send extensions");
        let elements = block.iter().map(|(_, value)| value.len()).collect::<Vec<_>>();
        assert!(!elements.is_empty(), "{}", entry.name);
    }
}

#[test]
fn chromium_audio_has_level_mid_and_transport_number() {
    // The ids of the offer that these packets were negotiated with.
    let map =
        ExtensionMap::from_iter([(1, Uri::AudioLevel), (2, Uri::AbsSendTime), (3, Uri::TransportCc), (4, Uri::Mid)]);
    let full = captured("rtp").into_iter().filter(|entry| entry.name.starts_with("chromium")).any(|entry| {
        let packet = RtpPacket::parse(&entry.bytes).expect(&entry.name);
        let parsed = wire::ext::parse(&packet.extension.expect("an extension block"), &map);
        parsed.audio_level.is_some() && parsed.mid.is_some() && parsed.twcc.is_some() && parsed.abs_send_time.is_some()
    });
    assert!(full);
}

#[test]
fn reports_and_feedback_are_read_without_an_error() {
    let (mut reports, mut nacks, mut keyframe_requests, mut feedback) = (0, 0, 0, 0);
    for entry in captured("rtcp") {
        for packet in rtcp::iter(&entry.bytes) {
            match packet.expect(&entry.name) {
                Rtcp::SenderReport { .. } | Rtcp::ReceiverReport { .. } => reports += 1,
                Rtcp::Nack { lost, .. } => nacks += lost.count(),
                Rtcp::Pli { .. } | Rtcp::Fir { .. } => keyframe_requests += 1,
                Rtcp::TransportFeedback(arrivals) => feedback += arrivals.iter().filter_map(|(_, at)| at).count(),
                _ => {}
            }
        }
    }
    assert!(reports > 0 && nacks > 0 && keyframe_requests > 0 && feedback > 0);
    for entry in captured("twcc") {
        let arrivals = Feedback::parse(&entry.bytes).expect(&entry.name);
        assert!(arrivals.iter().any(|(_, at)| at.is_some()), "{}", entry.name);
    }
}

#[test]
fn every_codec_shows_its_keyframes() {
    type IsKeyframe = fn(&[u8]) -> bool;
    let codecs: [(&str, IsKeyframe); 5] = [
        ("vp8", |payload| codec::vp8::parse(payload).expect("a descriptor").is_keyframe),
        ("vp9", |payload| codec::vp9::parse(payload).expect("a descriptor").is_keyframe()),
        ("h264", codec::h264::is_keyframe),
        ("av1", |payload| codec::av1::parse(payload).expect("a header").is_keyframe),
        ("dependency_descriptor", |extension| {
            codec::dependency_descriptor::parse(extension).expect("a descriptor").is_keyframe()
        }),
    ];
    for (name, is_keyframe) in codecs {
        let entries = captured(name);
        let keyframes = entries.iter().filter(|entry| is_keyframe(&entry.bytes)).count();
        assert!(keyframes > 0 && keyframes < entries.len(), "{name}: {keyframes} of {}", entries.len());
    }
}

#[test]
fn channels_are_opened_by_label() {
    let labels: Vec<String> = captured("dcep")
        .iter()
        .filter_map(|entry| match dcep::parse(&entry.bytes).expect(&entry.name) {
            Dcep::Open(open) => Some(open.label.to_owned()),
            Dcep::Ack => None,
        })
        .collect();
    for label in ["_reliable", "_lossy", "_data_track"] {
        assert!(labels.iter().any(|found| found == label), "{label} not in {labels:?}");
    }
}

#[test]
fn captured_conversations_are_forwarded() {
    for entry in captured("session") {
        let forwarded = fuzz::targets::converse(&entry.bytes).forwarded();
        assert!(forwarded >= 5, "{}: {forwarded} packets forwarded", entry.name);
    }
}
