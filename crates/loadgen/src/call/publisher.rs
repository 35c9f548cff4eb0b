//! A publisher's connection, made of str0m: replays media, sends again what is asked for, and answers keyframe requests.

use std::rc::Rc;
use std::time::{Duration, Instant};

use netio::Datagram;
use str0m::Event;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::media::{Direction, KeyframeRequest, MediaKind, Mid, Pt, Rid};
use str0m::rtp::{ExtensionValues, RtpWrite, Ssrc};

use super::data::Channel;
use super::descriptor::Descriptor;
use super::endpoint::Endpoint;
use super::media::{Codec, Stream};
use super::messages::AddTrack;
use super::meter::Meter;
use super::offering::{self, Media};
use super::peer::{self, Peer};
use super::player::{Outgoing, Player};
use super::sdp;
use super::stamp::{Flow, Layer};

/// One publisher's connection.
pub(crate) struct Publisher {
    peer: Peer,
    /// Of the participant.
    number: u32,
    tracks: Vec<Track>,
    offer: String,
    pending: Option<SdpPendingOffer>,
    /// Since the connection is up.
    senders: Vec<Sender>,
    /// Data channels that are open, by label.
    channels: Vec<(String, ChannelId)>,
    /// Of the meter: from which the times of all publishers are counted.
    epoch: Instant,
}

/// One media section.
struct Track {
    mid: Mid,
    cid: String,
    kind: MediaKind,
    codec: Rc<Codec>,
    streams: Vec<Rc<Stream>>,
}

/// One RTP stream.
struct Sender {
    mid: Mid,
    rid: Option<Rid>,
    ssrc: Ssrc,
    payload_type: Pt,
    kind: MediaKind,
    flow: Flow,
    player: Player,
    sent: u32,
}

impl Publisher {
    /// Nothing happens until there is an answer to the offer. `number` is the participant's.
    pub(crate) fn new(
        now: Instant,
        epoch: Instant,
        endpoint: Endpoint,
        identity: &peer::Identity,
        media: &Media,
        number: u32,
    ) -> Result<Self, String> {
        let mut peer = Peer::new(now, media.config(), endpoint, identity)?;
        let mut changes = peer.rtc().sdp_api();
        let mut tracks = Vec::new();
        let audio = media.audio.iter().map(|codec| (MediaKind::Audio, codec, codec.streams.clone()));
        let video = media.video.iter().map(|codec| (MediaKind::Video, codec, media.video_streams()));
        for (kind, codec, streams) in audio.chain(video) {
            let cid = format!("{}-{number}", codec.name);
            let (stream, simulcast) = (format!("stream-{number}"), offering::simulcast(&streams));
            let mid = changes.add_media(kind, Direction::SendOnly, Some(stream), Some(cid.clone()), simulcast);
            tracks.push(Track { mid, cid, kind, codec: Rc::clone(codec), streams });
        }
        for channel in offering::data_channels() {
            changes.add_channel_with_config(channel);
        }
        let (offer, pending) = changes.apply().ok_or("there is nothing to offer")?;
        let offer = sdp::without_simulcast_sources(&offer.to_sdp_string());
        Ok(Self {
            peer,
            epoch,
            number,
            tracks,
            offer,
            pending: Some(pending),
            senders: Vec::new(),
            channels: Vec::new(),
        })
    }

    // ---- commands

    /// False when the channel takes nothing for now, or is not open yet.
    pub(crate) fn send_data(
        &mut self,
        now: Instant,
        channel: Channel,
        message: &[u8],
        meter: &mut Meter,
    ) -> Result<bool, String> {
        let Some(id) = self.channel(channel) else { return Ok(false) };
        let Some(mut open) = self.peer.rtc().channel(id) else { return Ok(false) };
        if !open.write(true, message).map_err(|error| error.to_string())? {
            return Ok(false);
        }
        self.peer.handle_timeout(now)?;
        self.drain(now, meter)?;
        Ok(true)
    }

    // ---- in

    pub(crate) fn handle_answer(&mut self, now: Instant, answer: &str, meter: &mut Meter) -> Result<(), String> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|error| error.to_string())?;
        self.peer.rtc().sdp_api().accept_answer(pending, answer).map_err(|error| error.to_string())?;
        self.peer.handle_remote_described();
        self.drain(now, meter)
    }

    pub(crate) fn handle_candidate(&mut self, now: Instant, candidate: &str, meter: &mut Meter) -> Result<(), String> {
        self.peer.handle_candidate(candidate);
        self.drain(now, meter)
    }

    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
        meter: &mut Meter,
    ) -> Result<(), String> {
        self.peer.handle_datagram(now, datagram)?;
        self.drain(now, meter)
    }

    /// Sends what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, meter: &mut Meter) -> Result<(), String> {
        if self.peer.poll_timeout() <= now {
            self.peer.handle_timeout(now)?;
            self.drain(now, meter)?;
        }
        for index in 0..self.senders.len() {
            while let Some(packet) = self.senders[index].player.poll_packet(now) {
                self.send(index, packet, meter)?;
            }
        }
        Ok(())
    }

    // ---- out

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.senders.iter().map(|sender| sender.player.poll_timeout()).fold(self.peer.poll_timeout(), Instant::min)
    }

    // ---- getters

    /// Whether data can be sent.
    pub(crate) fn is_open(&self, channel: Channel) -> bool {
        self.channel(channel).is_some()
    }

    /// What signalling has to announce before the offer.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = AddTrack> + '_ {
        let is_video = |track: &Track| track.kind == MediaKind::Video;
        self.tracks
            .iter()
            .map(move |track| offering::add_track(&track.cid, &track.codec, &track.streams, is_video(track)))
    }

    pub(crate) fn offer(&self) -> &str {
        &self.offer
    }

    pub(crate) fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.peer.endpoint()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.peer.is_connected()
    }

    // ---- details

    fn channel(&self, channel: Channel) -> Option<ChannelId> {
        self.channels.iter().find(|(label, _)| label == channel.label()).map(|(_, id)| *id)
    }

    /// Stamped and sent one by one, so that no packet waits for the encryption of another that left with it.
    fn send(&mut self, index: usize, packet: Outgoing, meter: &mut Meter) -> Result<(), String> {
        let now = Instant::now();
        let sender = &mut self.senders[index];
        let Outgoing { timestamp, marker, extension, mut payload } = packet;
        meter.stamp(sender.flow, sender.sent, now).write(&mut payload);
        let sequence = FIRST_SEQUENCE + u64::from(sender.sent);
        sender.sent = sender.sent.wrapping_add(1);
        let mut values = ExtensionValues::default();
        match sender.kind {
            MediaKind::Audio => (values.audio_level, values.voice_activity) = (Some(AUDIO_LEVEL), Some(true)),
            MediaKind::Video if !extension.is_empty() => values.user_values.set(Descriptor(extension)),
            MediaKind::Video => {}
        }
        let write = RtpWrite::new(sender.payload_type, sequence.into(), timestamp, now, payload)
            .marker(marker)
            .nackable(true)
            .ext_vals(values);
        if let Some(stream) = self.peer.rtc().direct_api().stream_tx(&sender.ssrc) {
            stream.write_rtp(write);
        }
        self.peer.handle_timeout(now)?;
        self.drain(now, meter)
    }

    fn drain(&mut self, now: Instant, meter: &mut Meter) -> Result<(), String> {
        while let Some(event) = self.peer.poll_event()? {
            match event {
                Event::Connected => self.start(now)?,
                Event::ChannelOpen(id, label) => self.channels.push((label, id)),
                Event::KeyframeRequest(request) => {
                    meter.sums.keyframe_requests_received += 1;
                    self.handle_keyframe_request(now, &request);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn handle_keyframe_request(&mut self, now: Instant, request: &KeyframeRequest) {
        let asked = |sender: &&mut Sender| sender.mid == request.mid && sender.rid == request.rid;
        for sender in self.senders.iter_mut().filter(asked) {
            sender.player.handle_keyframe_request(now);
        }
    }

    /// All publishers' pictures and sounds are spread over the time between two, in every call alike: cameras know nothing of
    /// each other, nor do they start with the handshake.
    fn start(&mut self, now: Instant) -> Result<(), String> {
        let seed = self.number.wrapping_mul(0x9e37_79b1);
        let period = PERIOD.as_nanos() as u64;
        let (past, phase) = (now.duration_since(self.epoch).as_nanos() as u64, (period * u64::from(seed)) >> 32);
        let started = now + Duration::from_nanos(period - past % period + phase);
        let rtc = self.peer.rtc();
        for track in &self.tracks {
            let refused = || format!("the server refused {}", track.codec.name);
            let payload_type = rtc.media(track.mid).and_then(|media| media.remote_pts().first().copied());
            let payload_type = payload_type.ok_or_else(refused)?;
            let simulcast = track.streams.len() > 1;
            for stream in &track.streams {
                let rid = stream.rid.as_deref().filter(|_| simulcast);
                let layer = if track.kind == MediaKind::Audio { Layer::Audio } else { Layer::of_rid(rid) };
                let rid = rid.map(Rid::from);
                let ssrc = rtc.direct_api().stream_tx_by_mid(track.mid, rid).ok_or_else(refused)?.ssrc();
                self.senders.push(Sender {
                    mid: track.mid,
                    rid,
                    ssrc,
                    payload_type,
                    kind: track.kind,
                    flow: Flow::new(self.number, layer),
                    player: Player::new(&track.codec, stream, started, seed),
                    sent: 0,
                });
            }
        }
        Ok(())
    }
}

/// Loud enough for every server's list of speakers; in decibels below overload.
const AUDIO_LEVEL: i8 = -25;
const FIRST_SEQUENCE: u64 = 1_000;
/// Of three pictures, and of five pieces of sound.
const PERIOD: Duration = Duration::from_millis(100);
