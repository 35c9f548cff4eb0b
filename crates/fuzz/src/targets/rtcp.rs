//! RTCP compounds and transport-wide feedback.

use wire::rtcp::{self, Rtcp};
use wire::twcc::{self, Feedback};
use wire::{Ssrc, TwccSeq};

use crate::outcome::Outcome;

pub(super) fn rtcp(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut packets = 0;
    for packet in rtcp::iter(input) {
        packets += 1;
        match packet {
            Ok(packet) => one(&mut outcome, packet),
            Err(error) => _ = outcome.error(error),
        }
    }
    assert!(packets <= input.len() / 4 + 1);
    *outcome.size(packets)
}

fn one(outcome: &mut Outcome, packet: Rtcp<'_>) {
    match packet {
        Rtcp::SenderReport { reports, .. } => _ = outcome.note(0_u8).size(reports.count()),
        Rtcp::ReceiverReport { ssrc, reports } => {
            let blocks: Vec<_> = reports.collect();
            outcome.note(1_u8).size(blocks.len());
            let mut buf = [0; 800];
            let len = rtcp::write_rr(&mut buf, ssrc, &blocks).expect("at most 31 blocks were read");
            let Some(Ok(Rtcp::ReceiverReport { reports, .. })) = rtcp::iter(&buf[..len]).next() else {
                panic!("a receiver report reads back as one")
            };
            assert!(reports.eq(blocks));
        }
        Rtcp::Sdes { count, raw } => _ = outcome.note(2_u8).note(count).size(raw.len()),
        Rtcp::Bye { ssrcs } => _ = outcome.note(3_u8).size(ssrcs.count()),
        Rtcp::Nack { sender, media, lost } => nack(outcome, sender, media, lost.collect()),
        Rtcp::Pli { .. } => _ = outcome.note(5_u8),
        Rtcp::Fir { entries, .. } => _ = outcome.note(6_u8).size(entries.count()),
        Rtcp::Remb { sender, bitrate, ssrcs } => {
            let ssrcs: Vec<Ssrc> = ssrcs.collect();
            outcome.note(7_u8).size(ssrcs.len()).size(bitrate.leading_zeros() as usize);
            let mut buf = vec![0; 20 + 4 * ssrcs.len()];
            let len = rtcp::write_remb(&mut buf, sender, bitrate, &ssrcs).expect("room was made");
            let Some(Ok(Rtcp::Remb { bitrate: again, .. })) = rtcp::iter(&buf[..len]).next() else {
                panic!("a bitrate estimate reads back as one")
            };
            assert_eq!(again, bitrate);
        }
        Rtcp::TransportFeedback(feedback) => feedback_holds(outcome.note(8_u8), &feedback),
        Rtcp::Other { packet_type, body, .. } => _ = outcome.note(packet_type >= 192).size(body.len()),
    }
}

fn nack(outcome: &mut Outcome, sender: Ssrc, media: Ssrc, lost: Vec<u16>) {
    outcome.note(4_u8).size(lost.len());
    let mut buf = vec![0; 12 + 4 * lost.len()];
    let len = rtcp::write_nack(&mut buf, sender, media, &lost).expect("never more than a word per number");
    let Some(Ok(Rtcp::Nack { lost: again, .. })) = rtcp::iter(&buf[..len]).next() else {
        panic!("a nack reads back as one")
    };
    let sorted = |mut numbers: Vec<u16>| {
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    assert_eq!(sorted(again.collect()), sorted(lost));
}

/// Input: the body of the packet, from the sender's SSRC on.
pub(super) fn twcc(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    match Feedback::parse(input) {
        Ok(feedback) => feedback_holds(&mut outcome, &feedback),
        Err(error) => _ = outcome.error(error),
    }
    outcome
}

fn feedback_holds(outcome: &mut Outcome, feedback: &Feedback<'_>) {
    let count = usize::from(feedback.status_count);
    assert_eq!(feedback.iter().count(), count);
    let received = feedback.iter().filter(|(_, arrival)| arrival.is_some()).count();
    outcome.size(count).size(received).note(feedback.reference_time < 0);
    // Runs make tens of thousands of packets out of a few bytes; writing those again would only be slow.
    if count > REWRITTEN_MAX {
        return;
    }
    let packets: Vec<_> = feedback.iter().collect();
    let mut buf = vec![0; 32 + 4 * count];
    let reference = feedback.reference_time as u32;
    let (len, consumed) = twcc::write(
        &mut buf,
        feedback.sender,
        feedback.media,
        feedback.base_seq,
        reference,
        feedback.feedback_count,
        &packets,
    );
    assert_eq!(consumed, packets.len());
    if packets.is_empty() {
        return;
    }
    let Some(Ok(Rtcp::TransportFeedback(again))) = rtcp::iter(&buf[..len]).next() else {
        panic!("feedback reads back as feedback")
    };
    assert_eq!(again.base_seq, TwccSeq(packets[0].0));
    assert_eq!(again.reference_time, feedback.reference_time);
    assert!(again.iter().eq(packets));
}

const REWRITTEN_MAX: usize = 2_000;
