//! The streams that a server sends on one connection: which track each belongs to, and what is said of every packet by its header.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use prost::Message as _;
use wire::rtcp::ReportBlock;
use wire::rtp::RtpHeader;
use wire::{Ssrc, rtcp};

use super::messages::DataPacket;
use super::meter::Meter;
use super::sdp::{Kind, Offer};
use super::sequence::{Counts, Sequence};
use super::stamp::{Layer, Stamp};

/// All streams of one connection.
#[derive(Default)]
pub(crate) struct Inbound {
    streams: HashMap<u32, Stream, BuildHasherDefault<SsrcHasher>>,
    /// Tracks of which something came.
    flowing: BTreeSet<String>,
    /// Of streams over data channels.
    stream_bytes: usize,
}

struct Stream {
    track: String,
    kind: Kind,
    /// It carries retransmissions, numbered on their own.
    repairs: bool,
    /// The number of the participant that publishes it, once known.
    owner: Option<u32>,
    sequence: Sequence,
    counts: Counts,
    /// As they were in the last report.
    reported: Counts,
    layer: Option<Layer>,
    /// Packets until one is decrypted.
    countdown: u32,
    random: u32,
    last_sr: Option<(u32, Instant)>,
}

/// What is to be done with a packet besides counting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The first of its stream.
    pub(crate) first: bool,
    pub(crate) kind: Kind,
    pub(crate) repair: bool,
    /// One packet in 64.
    pub(crate) sample: bool,
}

impl Inbound {
    // ---- in

    /// The server's newest description. Streams that it still has go on.
    pub(crate) fn handle_offer(&mut self, offer: &Offer, track_of_mid: &HashMap<String, String>) {
        let mut before = std::mem::take(&mut self.streams);
        for section in offer.sections.iter().filter(|section| section.sends && !section.rejected) {
            let Some(track) = track_of_mid.get(&section.mid).or(section.track.as_ref()) else { continue };
            for (ssrc, repairs) in [(section.ssrc, false), (section.rtx_ssrc, true)] {
                let Some(ssrc) = ssrc else { continue };
                let known = before.remove(&ssrc).filter(|stream| stream.track == *track);
                let stream = known.unwrap_or_else(|| Stream::new(ssrc, track, section.kind, repairs));
                self.streams.insert(ssrc, stream);
            }
        }
        let streams = &self.streams;
        self.flowing.retain(|track| streams.values().any(|stream| stream.track == *track));
    }

    /// Counts a packet as it came from the network, still encrypted. `None` when nobody told of its stream.
    #[inline]
    pub(crate) fn handle_packet(&mut self, header: &RtpHeader, bytes: usize, meter: &mut Meter) -> Option<Verdict> {
        let Some(stream) = self.streams.get_mut(&header.ssrc.0) else {
            meter.sums.unknown += 1;
            return None;
        };
        let arrival = stream.sequence.handle(header.seq.0);
        let first = stream.counts.expected == 0;
        stream.counts.add(arrival);
        meter.handle_bytes(stream.layer, bytes);
        if stream.repairs {
            meter.sums.rtx += 1;
        } else {
            meter.sums.counts.add(arrival);
        }
        if first && !stream.repairs {
            self.flowing.insert(stream.track.clone());
        }
        Some(Verdict { first, kind: stream.kind, repair: stream.repairs, sample: stream.is_sampled() })
    }

    /// The payload of one of them was decrypted.
    pub(crate) fn handle_payload(&mut self, ssrc: Ssrc, payload: &[u8], received: Instant, meter: &mut Meter) {
        let Some(stream) = self.streams.get_mut(&ssrc.0) else { return };
        let Some(stamp) = Stamp::read(payload) else { return };
        let layer = stamp.flow.layer();
        let owner = *stream.owner.get_or_insert(stamp.flow.participant());
        if owner != stamp.flow.participant() || (layer == Layer::Audio) != (stream.kind == Kind::Audio) {
            meter.sums.astray += 1;
            return;
        }
        stream.layer = Some(layer);
        if !stream.repairs {
            meter.handle_stamp(&stamp, received);
        }
    }

    /// A sender report came: the next receiver report refers to it.
    pub(crate) fn handle_rtcp(&mut self, now: Instant, compound: &[u8]) {
        for packet in rtcp::iter(compound).flatten() {
            if let rtcp::Rtcp::SenderReport { ssrc, ntp, .. } = packet
                && let Some(stream) = self.streams.get_mut(&ssrc.0)
            {
                stream.last_sr = Some(((ntp >> 16) as u32, now));
            }
        }
    }

    /// A message came over a data channel.
    pub(crate) fn handle_data(&mut self, message: &[u8], received: Instant, meter: &mut Meter) {
        if let Ok(DataPacket { value: Some(value), .. }) = DataPacket::decode(message) {
            self.stream_bytes += meter.handle_data(&value, received);
        }
    }

    // ---- out

    /// A report about every stream that anything came of.
    pub(crate) fn poll_reports(&mut self, now: Instant) -> Vec<ReportBlock> {
        let heard = self.streams.iter_mut().filter(|(_, stream)| stream.counts.received > 0);
        heard.map(|(ssrc, stream)| stream.report(*ssrc, now)).collect()
    }

    /// Of data streams, since the start.
    pub(crate) fn stream_bytes(&self) -> usize {
        self.stream_bytes
    }

    /// Of how many tracks anything came.
    pub(crate) fn flowing(&self) -> usize {
        self.flowing.len()
    }

    /// Whether anything came of this track.
    pub(crate) fn is_flowing(&self, track: &str) -> bool {
        self.flowing.contains(track)
    }
}

impl Stream {
    fn new(ssrc: u32, track: &str, kind: Kind, repairs: bool) -> Self {
        Self {
            track: track.to_owned(),
            kind,
            repairs,
            owner: None,
            sequence: Sequence::default(),
            counts: Counts::default(),
            reported: Counts::default(),
            layer: None,
            countdown: 0,
            random: ssrc | 1,
            last_sr: None,
        }
    }

    /// One in 64 on average, but not in step with pictures; more at the start, while a server looks for the layer to send.
    #[inline]
    fn is_sampled(&mut self) -> bool {
        if self.countdown > 0 {
            self.countdown -= 1;
            return false;
        }
        self.random = self.random.wrapping_mul(0x915f_77f5).wrapping_add(1);
        let is_new = self.counts.received < NEW_PACKETS;
        self.countdown = if is_new { self.random >> 29 } else { 32 + (self.random >> 26) };
        true
    }

    fn report(&mut self, ssrc: u32, now: Instant) -> ReportBlock {
        let (expected, lost) = (self.counts.expected - self.reported.expected, self.counts.lost());
        let lost_now = lost.saturating_sub(self.reported.lost());
        self.reported = self.counts;
        let (last_sr, at) = self.last_sr.unzip();
        let delay = at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        ReportBlock {
            ssrc: Ssrc(ssrc),
            fraction_lost: (lost_now * 256).checked_div(expected).unwrap_or_default().min(255) as u8,
            cumulative_lost: lost as i32,
            highest_seq: self.sequence.highest(),
            jitter: 0,
            last_sr: last_sr.unwrap_or_default(),
            delay_since_last_sr: (delay * 65_536.0) as u32,
        }
    }
}

/// SSRCs are random already.
#[derive(Default)]
struct SsrcHasher(u64);

impl Hasher for SsrcHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u32(&mut self, ssrc: u32) {
        self.0 = u64::from(ssrc).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

const NEW_PACKETS: u64 = 128;

#[cfg(test)]
mod tests {
    use wire::{PayloadType, RtpTimestamp, SeqNo};

    use super::*;
    use crate::call::latency::Latencies;
    use crate::call::stamp::Flow;

    const OFFER: &str = "v=0\na=ice-ufrag:u\na=ice-pwd:p\na=fingerprint:f\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\na=mid:1\na=sendonly\na=msid:PA_x|TR_v TR_v\na=ssrc-group:FID 11 12\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:2\na=sendonly\na=msid:PA_x|TR_a TR_a\na=ssrc:21 cname:x\n";

    fn inbound() -> Inbound {
        let mut inbound = Inbound::default();
        inbound.handle_offer(&Offer::parse(OFFER).expect("an offer"), &HashMap::new());
        inbound
    }

    fn header(ssrc: u32, seq: u16) -> RtpHeader {
        RtpHeader {
            payload_type: PayloadType(96),
            marker: false,
            padding: false,
            has_extension: false,
            csrc_count: 0,
            seq: SeqNo(seq),
            timestamp: RtpTimestamp(0),
            ssrc: Ssrc(ssrc),
            header_len: 12,
        }
    }

    fn payload(participant: u32, layer: Layer) -> Vec<u8> {
        let mut payload = vec![0; 100];
        let at = std::time::Duration::ZERO;
        Stamp { flow: Flow::new(participant, layer), number: 1, at }.write(&mut payload);
        payload
    }

    #[test]
    fn media_and_repairs_are_counted_apart() {
        let (mut inbound, mut meter) = (inbound(), Meter::new(Instant::now()));
        for seq in [1, 2, 4] {
            inbound.handle_packet(&header(11, seq), 1_000, &mut meter);
        }
        let repair = inbound.handle_packet(&header(12, 900), 1_000, &mut meter);
        assert!(repair.is_some_and(|verdict| verdict.repair));
        assert_eq!(inbound.handle_packet(&header(99, 1), 1_000, &mut meter), None);
        let sums = meter.sums;
        assert_eq!((sums.counts.received, sums.counts.expected, sums.counts.lost()), (3, 4, 1));
        assert_eq!((sums.rtx, sums.unknown, sums.bytes), (1, 1, 4_000));
        assert!(inbound.is_flowing("TR_v") && !inbound.is_flowing("TR_a"));
    }

    #[test]
    fn one_packet_in_64_is_decrypted_and_the_first() {
        let (mut inbound, mut meter) = (inbound(), Meter::new(Instant::now()));
        let verdicts = (0..64_000_u32).map(|seq| inbound.handle_packet(&header(21, seq as u16), 100, &mut meter));
        let sampled: Vec<bool> = verdicts.flatten().map(|verdict| verdict.sample).collect();
        assert!(sampled[0]);
        let number = sampled.iter().filter(|sample| **sample).count();
        assert!((900..1_100).contains(&number), "{number}");
    }

    #[test]
    fn another_publishers_packet_is_astray() {
        let (mut inbound, mut meter) = (inbound(), Meter::new(Instant::now()));
        let now = Instant::now();
        meter.latencies = Latencies::open();
        inbound.handle_payload(Ssrc(11), &payload(7, Layer::High), now, &mut meter);
        inbound.handle_payload(Ssrc(11), &payload(7, Layer::Low), now, &mut meter);
        assert_eq!(meter.sums.astray, 0);
        inbound.handle_payload(Ssrc(11), &payload(8, Layer::Low), now, &mut meter);
        inbound.handle_payload(Ssrc(21), &payload(7, Layer::Low), now, &mut meter);
        assert_eq!(meter.sums.astray, 2);
        assert_eq!(meter.latencies.close().count, 2);
    }

    #[test]
    fn streams_go_on_over_offers_and_end_with_their_section() {
        let (mut inbound, mut meter) = (inbound(), Meter::new(Instant::now()));
        inbound.handle_packet(&header(11, 1), 100, &mut meter);
        inbound.handle_packet(&header(21, 1), 100, &mut meter);
        let inactive = OFFER.replacen("a=sendonly", "a=inactive", 1);
        inbound.handle_offer(&Offer::parse(&inactive).expect("an offer"), &HashMap::new());
        assert!(!inbound.is_flowing("TR_v") && inbound.is_flowing("TR_a"));
        let next = inbound.handle_packet(&header(21, 2), 100, &mut meter);
        assert!(next.is_some_and(|verdict| !verdict.first));
        assert_eq!(inbound.handle_packet(&header(11, 2), 100, &mut meter), None);
    }

    #[test]
    fn reports_tell_of_loss_since_the_last() {
        let (mut inbound, mut meter) = (inbound(), Meter::new(Instant::now()));
        let now = Instant::now();
        for seq in [0, 1, 2, 5] {
            inbound.handle_packet(&header(11, seq), 100, &mut meter);
        }
        let reports = inbound.poll_reports(now);
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].fraction_lost, reports[0].cumulative_lost, reports[0].highest_seq), (85, 2, 5));
        inbound.handle_packet(&header(11, 6), 100, &mut meter);
        assert_eq!(inbound.poll_reports(now)[0].fraction_lost, 0);
    }
}
