//! What a publisher offers, in its session description and in signalling: one codec for each kind of media, as LiveKit's clients do it.

use std::rc::Rc;

use str0m::channel::{ChannelConfig, Reliability};
use str0m::format::{Codec as RtcCodec, FormatParams};
use str0m::media::{Frequency, Simulcast, SimulcastLayer};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Rtc, RtcConfig};

use super::descriptor;
use super::media::{Codec, Stream};
use super::messages::{AddTrack, SimulcastCodec, TrackSource, TrackType, VideoLayer, VideoQuality};
use super::stamp::Layer;

/// What somebody publishes.
#[derive(Clone, Default)]
pub(crate) struct Media {
    pub(crate) audio: Option<Rc<Codec>>,
    pub(crate) video: Option<Rc<Codec>>,
    /// Where there are several sizes, all of them are sent, else the largest.
    pub(crate) simulcast: bool,
}

impl Media {
    pub(crate) fn is_empty(&self) -> bool {
        self.audio.is_none() && self.video.is_none()
    }

    /// Those of the camera that are sent, smallest first.
    pub(crate) fn video_streams(&self) -> Vec<Rc<Stream>> {
        let streams = self.video.as_ref().map_or(&[][..], |codec| &codec.streams);
        let skipped = if self.simulcast { 0 } else { streams.len().saturating_sub(1) };
        streams.iter().skip(skipped).cloned().collect()
    }

    /// A connection that can send it.
    pub(crate) fn config(&self) -> RtcConfig {
        let mut config = Rtc::builder()
            .set_rtp_mode(true)
            .set_extension_map(extensions())
            .clear_codecs()
            .set_sctp_max_buffered_amount(MAX_BUFFERED_BYTES);
        if self.audio.is_some() {
            config = config.enable_opus(true, false);
        }
        if let Some(video) = &self.video {
            add_video_codec(&mut config, &video.name);
        }
        config
    }
}

/// The sizes as a section tells them; `None` where there is only one.
pub(crate) fn simulcast(streams: &[Rc<Stream>]) -> Option<Simulcast> {
    let rids: Vec<&str> = streams.iter().filter_map(|stream| stream.rid.as_deref()).collect();
    (rids.len() > 1).then(|| Simulcast { send: rids.into_iter().map(SimulcastLayer::new).collect(), recv: Vec::new() })
}

/// Announces a track.
pub(crate) fn add_track(cid: &str, codec: &Codec, streams: &[Rc<Stream>], is_video: bool) -> AddTrack {
    if !is_video {
        return AddTrack {
            cid: cid.to_owned(),
            name: "microphone".to_owned(),
            r#type: TrackType::Audio.into(),
            source: TrackSource::Microphone.into(),
            disable_red: true,
            ..AddTrack::default()
        };
    }
    let (width, height) = streams.last().map_or((0, 0), |stream| (stream.width, stream.height));
    let layers = if is_scalable(&codec.name) { scalable_layers(streams) } else { layers(streams) };
    AddTrack {
        cid: cid.to_owned(),
        name: "camera".to_owned(),
        r#type: TrackType::Video.into(),
        source: TrackSource::Camera.into(),
        width,
        height,
        layers: layers.clone(),
        simulcast_codecs: vec![SimulcastCodec { codec: codec.name.clone(), cid: cid.to_owned(), layers }],
        ..AddTrack::default()
    }
}

/// The data channels of every LiveKit client.
pub(crate) fn data_channels() -> [ChannelConfig; 2] {
    let reliability = Reliability::MaxRetransmits { retransmits: 0 };
    let lossy = ChannelConfig { label: "_lossy".to_owned(), ordered: false, reliability, ..ChannelConfig::default() };
    [lossy, ChannelConfig { label: "_reliable".to_owned(), ..ChannelConfig::default() }]
}

/// Of one stream that holds three sizes, as browsers encode VP9 and AV1: each half of the next, a third of its bits.
fn scalable_layers(streams: &[Rc<Stream>]) -> Vec<VideoLayer> {
    let Some(stream) = streams.last() else { return Vec::new() };
    let layer = |quality: VideoQuality| {
        let below = VideoQuality::High as u32 - quality as u32;
        VideoLayer {
            quality: quality.into(),
            width: stream.width >> below,
            height: stream.height >> below,
            bitrate: stream.bps / 3_u32.pow(below),
            spatial_layer: quality.into(),
            rid: String::new(),
        }
    };
    [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High].map(layer).into()
}

fn is_scalable(codec: &str) -> bool {
    matches!(codec, "vp9" | "av1")
}

/// One stream that is no simulcast is HIGH.
fn layers(streams: &[Rc<Stream>]) -> Vec<VideoLayer> {
    let layer = |stream: &Rc<Stream>| {
        let rid = stream.rid.as_deref().filter(|_| streams.len() > 1);
        let quality = match Layer::of_rid(rid) {
            Layer::Low => VideoQuality::Low,
            Layer::Medium => VideoQuality::Medium,
            Layer::High | Layer::Audio => VideoQuality::High,
        };
        VideoLayer {
            quality: quality.into(),
            width: stream.width,
            height: stream.height,
            bitrate: stream.bps,
            spatial_layer: quality.into(),
            rid: rid.unwrap_or_default().to_owned(),
        }
    };
    streams.iter().map(layer).collect()
}

fn add_video_codec(config: &mut RtcConfig, name: &str) {
    let codecs = config.codec_config();
    match name {
        "vp8" => codecs.enable_vp8(true),
        "av1" => codecs.enable_av1(true),
        "h264" => codecs.add_h264(108.into(), Some(109.into()), true, CONSTRAINED_BASELINE),
        "vp9" => {
            let format = FormatParams { profile_id: Some(0), ..FormatParams::default() };
            codecs.add_config(98.into(), Some(99.into()), RtcCodec::Vp9, Frequency::NINETY_KHZ, None, format);
        }
        _ => {} // the media directory has no other
    }
}

/// Those of libwebrtc that a load generator has values for.
fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    map.set(1, Extension::AudioLevel);
    map.set(2, Extension::AbsoluteSendTime);
    map.set(3, Extension::TransportSequenceNumber);
    map.set(4, Extension::RtpMid);
    map.set(10, Extension::RtpStreamId);
    map.set(11, Extension::RepairedRtpStreamId);
    map.set(12, descriptor::extension());
    map
}

/// Enough for a stream to go on while acknowledgements are on their way; str0m looks through all of it at every turn.
const MAX_BUFFERED_BYTES: usize = 256 << 10;
/// Level 3.1.
const CONSTRAINED_BASELINE: u32 = 0x42_e01f;

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(rids: &[&str]) -> Vec<Rc<Stream>> {
        let stream =
            |rid: &&str| Stream { rid: Some((*rid).to_owned()), width: 320, height: 180, bps: 1, packets: Vec::new() };
        rids.iter().map(stream).map(Rc::new).collect()
    }

    #[test]
    fn simulcast_is_announced_layer_by_layer() {
        let layers = layers(&streams(&["q", "h", "f"]));
        let told: Vec<_> = layers.iter().map(|layer| (layer.quality, layer.rid.as_str())).collect();
        assert_eq!(told, [(0, "q"), (1, "h"), (2, "f")]);
        assert_eq!(simulcast(&streams(&["q", "h", "f"])).map(|simulcast| simulcast.send.len()), Some(3));
    }

    #[test]
    fn one_stream_is_high_and_has_no_rid() {
        let layers = layers(&streams(&["q"]));
        assert_eq!((layers[0].quality, layers[0].rid.as_str()), (2, ""));
        assert_eq!(simulcast(&streams(&["q"])), None);
    }

    #[test]
    fn a_scalable_stream_has_three_sizes() {
        let stream = Stream { rid: None, width: 1_280, height: 720, bps: 900, packets: Vec::new() };
        let layers = scalable_layers(&[Rc::new(stream)]);
        let told: Vec<_> =
            layers.iter().map(|layer| (layer.quality, layer.width, layer.height, layer.bitrate)).collect();
        assert_eq!(told, [(0, 320, 180, 100), (1, 640, 360, 300), (2, 1_280, 720, 900)]);
    }

    #[test]
    fn without_simulcast_the_largest_stream_is_sent() {
        let rids = |simulcast| {
            let streams = streams(&["q", "h", "f"]);
            let codec = Codec { name: "vp8".to_owned(), clock_rate: 90_000, duration: 90_000, streams };
            let media = Media { audio: None, video: Some(Rc::new(codec)), simulcast };
            media.video_streams().iter().filter_map(|stream| stream.rid.clone()).collect::<String>()
        };
        assert_eq!((rids(true), rids(false)), ("qhf".to_owned(), "f".to_owned()));
    }
}
