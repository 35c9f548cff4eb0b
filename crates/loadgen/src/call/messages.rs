//! The messages of LiveKit's signalling that a load generator speaks, and of those the fields that it uses. Field numbers are the
//! protocol's; unknown fields and messages are skipped.

use std::collections::HashMap;

/// From the client.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SignalRequest {
    #[prost(oneof = "Request", tags = "1, 2, 3, 4, 6, 7, 8, 16")]
    pub(crate) message: Option<Request>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Request {
    #[prost(message, tag = "1")]
    Offer(SessionDescription),
    #[prost(message, tag = "2")]
    Answer(SessionDescription),
    #[prost(message, tag = "3")]
    Trickle(Trickle),
    #[prost(message, tag = "4")]
    AddTrack(AddTrack),
    #[prost(message, tag = "6")]
    Subscription(UpdateSubscription),
    #[prost(message, tag = "7")]
    TrackSetting(UpdateTrackSettings),
    #[prost(message, tag = "8")]
    Leave(Leave),
    #[prost(message, tag = "16")]
    Ping(Ping),
}

/// From the server.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SignalResponse {
    #[prost(oneof = "Response", tags = "1, 2, 3, 4, 5, 6, 8, 17, 21, 22")]
    pub(crate) message: Option<Response>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Response {
    #[prost(message, tag = "1")]
    Join(Join),
    #[prost(message, tag = "2")]
    Answer(SessionDescription),
    #[prost(message, tag = "3")]
    Offer(SessionDescription),
    #[prost(message, tag = "4")]
    Trickle(Trickle),
    #[prost(message, tag = "5")]
    Update(ParticipantUpdate),
    #[prost(message, tag = "6")]
    TrackPublished(TrackPublished),
    #[prost(message, tag = "8")]
    Leave(Leave),
    #[prost(message, tag = "17")]
    TrackUnpublished(TrackUnpublished),
    #[prost(message, tag = "21")]
    Subscription(SubscriptionResponse),
    #[prost(message, tag = "22")]
    Request(RequestResponse),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SessionDescription {
    /// "offer" or "answer".
    #[prost(string, tag = "1")]
    pub(crate) r#type: String,
    #[prost(string, tag = "2")]
    pub(crate) sdp: String,
    #[prost(uint32, tag = "3")]
    pub(crate) id: u32,
    #[prost(map = "string, string", tag = "4")]
    pub(crate) mid_to_track_id: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Trickle {
    /// An `RTCIceCandidateInit` in JSON.
    #[prost(string, tag = "1")]
    pub(crate) candidate_init: String,
    #[prost(enumeration = "Target", tag = "2")]
    pub(crate) target: i32,
}

/// One of a client's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Target {
    Publisher = 0,
    Subscriber = 1,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AddTrack {
    #[prost(string, tag = "1")]
    pub(crate) cid: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(enumeration = "TrackType", tag = "3")]
    pub(crate) r#type: i32,
    #[prost(uint32, tag = "4")]
    pub(crate) width: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) height: u32,
    #[prost(enumeration = "TrackSource", tag = "8")]
    pub(crate) source: i32,
    #[prost(message, repeated, tag = "9")]
    pub(crate) layers: Vec<VideoLayer>,
    #[prost(message, repeated, tag = "10")]
    pub(crate) simulcast_codecs: Vec<SimulcastCodec>,
    #[prost(bool, tag = "13")]
    pub(crate) disable_red: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum TrackType {
    Audio = 0,
    Video = 1,
    Data = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum TrackSource {
    Unknown = 0,
    Camera = 1,
    Microphone = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum VideoQuality {
    Low = 0,
    Medium = 1,
    High = 2,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VideoLayer {
    #[prost(enumeration = "VideoQuality", tag = "1")]
    pub(crate) quality: i32,
    #[prost(uint32, tag = "2")]
    pub(crate) width: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) height: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) bitrate: u32,
    #[prost(int32, tag = "6")]
    pub(crate) spatial_layer: i32,
    #[prost(string, tag = "7")]
    pub(crate) rid: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SimulcastCodec {
    #[prost(string, tag = "1")]
    pub(crate) codec: String,
    #[prost(string, tag = "2")]
    pub(crate) cid: String,
    #[prost(message, repeated, tag = "4")]
    pub(crate) layers: Vec<VideoLayer>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UpdateSubscription {
    #[prost(string, repeated, tag = "1")]
    pub(crate) track_sids: Vec<String>,
    #[prost(bool, tag = "2")]
    pub(crate) subscribe: bool,
    #[prost(message, repeated, tag = "3")]
    pub(crate) participant_tracks: Vec<ParticipantTracks>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ParticipantTracks {
    #[prost(string, tag = "1")]
    pub(crate) participant_sid: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) track_sids: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UpdateTrackSettings {
    #[prost(string, repeated, tag = "1")]
    pub(crate) track_sids: Vec<String>,
    #[prost(enumeration = "VideoQuality", tag = "4")]
    pub(crate) quality: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Leave {
    /// A `DisconnectReason`.
    #[prost(int32, tag = "2")]
    pub(crate) reason: i32,
    /// 0 to end, 1 to resume, 2 to join anew.
    #[prost(int32, tag = "3")]
    pub(crate) action: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ping {
    /// Milliseconds; comes back.
    #[prost(int64, tag = "1")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Join {
    #[prost(message, optional, tag = "2")]
    pub(crate) participant: Option<ParticipantInfo>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) other_participants: Vec<ParticipantInfo>,
    /// Seconds.
    #[prost(int32, tag = "11")]
    pub(crate) ping_interval: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ParticipantUpdate {
    #[prost(message, repeated, tag = "1")]
    pub(crate) participants: Vec<ParticipantInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ParticipantInfo {
    #[prost(string, tag = "1")]
    pub(crate) sid: String,
    #[prost(string, tag = "2")]
    pub(crate) identity: String,
    /// `DISCONNECTED` is 3.
    #[prost(int32, tag = "3")]
    pub(crate) state: i32,
    #[prost(message, repeated, tag = "4")]
    pub(crate) tracks: Vec<TrackInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TrackInfo {
    #[prost(string, tag = "1")]
    pub(crate) sid: String,
    #[prost(enumeration = "TrackType", tag = "2")]
    pub(crate) r#type: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TrackPublished {
    #[prost(string, tag = "1")]
    pub(crate) cid: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TrackUnpublished {
    #[prost(string, tag = "1")]
    pub(crate) track_sid: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SubscriptionResponse {
    #[prost(string, tag = "1")]
    pub(crate) track_sid: String,
    /// A `SubscriptionError`.
    #[prost(int32, tag = "2")]
    pub(crate) err: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RequestResponse {
    /// 0 is OK.
    #[prost(int32, tag = "2")]
    pub(crate) reason: i32,
    #[prost(string, tag = "3")]
    pub(crate) message: String,
}

/// What goes over a data channel.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DataPacket {
    /// On the reliable channel, from 1.
    #[prost(uint32, tag = "16")]
    pub(crate) sequence: u32,
    #[prost(oneof = "DataValue", tags = "2, 13, 14, 15")]
    pub(crate) value: Option<DataValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum DataValue {
    #[prost(message, tag = "2")]
    User(UserPacket),
    #[prost(message, tag = "13")]
    StreamHeader(StreamHeader),
    #[prost(message, tag = "14")]
    StreamChunk(StreamChunk),
    #[prost(message, tag = "15")]
    StreamTrailer(StreamTrailer),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UserPacket {
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) payload: Vec<u8>,
    #[prost(string, optional, tag = "4")]
    pub(crate) topic: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamHeader {
    #[prost(string, tag = "1")]
    pub(crate) stream_id: String,
    #[prost(string, tag = "3")]
    pub(crate) topic: String,
    #[prost(string, tag = "4")]
    pub(crate) mime_type: String,
    #[prost(uint64, optional, tag = "5")]
    pub(crate) total_length: Option<u64>,
    #[prost(message, optional, tag = "10")]
    pub(crate) byte_header: Option<ByteStreamHeader>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ByteStreamHeader {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamChunk {
    #[prost(string, tag = "1")]
    pub(crate) stream_id: String,
    #[prost(uint64, tag = "2")]
    pub(crate) chunk_index: u64,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) content: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamTrailer {
    #[prost(string, tag = "1")]
    pub(crate) stream_id: String,
}

impl ParticipantInfo {
    pub(crate) fn has_left(&self) -> bool {
        self.state == 3
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn requests_are_what_the_protocol_says() {
        let subscribe =
            UpdateSubscription { track_sids: vec!["TR_a".to_owned()], subscribe: true, ..Default::default() };
        let bytes = SignalRequest { message: Some(Request::Subscription(subscribe)) }.encode_to_vec();
        // Field 6, 8 bytes: field 1 "TR_a", field 2 true.
        assert_eq!(bytes, [0x32, 8, 0x0a, 4, b'T', b'R', b'_', b'a', 0x10, 1]);
    }

    #[test]
    fn unknown_messages_and_fields_are_skipped() {
        // refresh_token (16), then an update (5) with a participant that has a name (9).
        let token = [0x82, 0x01, 1, b'x'];
        assert_eq!(SignalResponse::decode(&token[..]).map(|response| response.message), Ok(None));
        let update = [0x2a, 9, 0x0a, 7, 0x12, 1, b'a', 0x4a, 2, b'A', b'b'];
        let Ok(SignalResponse { message: Some(Response::Update(update)) }) = SignalResponse::decode(&update[..]) else {
            panic!("an update");
        };
        assert_eq!(update.participants[0].identity, "a");
    }
}
