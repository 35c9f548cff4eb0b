//! Commands, imperative: what the layer above tells the forwarder. Plain data, one to one with `sfu/seam.py`.

use crate::{ConsumerId, ProducerId, TransportId};

/// One command. A refusal comes back as `Event::Refused`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// See [`OpenTransport`].
    OpenTransport(OpenTransport),
    /// See [`SetRemote`].
    SetRemote(SetRemote),
    /// See [`RestartIce`].
    RestartIce(RestartIce),
    /// See [`CloseTransport`].
    CloseTransport(CloseTransport),
    /// See [`AddProducer`].
    AddProducer(AddProducer),
    /// See [`RemoveProducer`].
    RemoveProducer(RemoveProducer),
    /// See [`AddConsumer`].
    AddConsumer(AddConsumer),
    /// See [`ConfigureConsumer`].
    ConfigureConsumer(ConfigureConsumer),
    /// See [`RemoveConsumer`].
    RemoveConsumer(RemoveConsumer),
    /// See [`RequestKeyframe`].
    RequestKeyframe(RequestKeyframe),
    /// See [`OpenDataChannel`].
    OpenDataChannel(OpenDataChannel),
    /// See [`SendData`].
    SendData(SendData),
    /// See [`PauseData`].
    PauseData(PauseData),
}

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// Opens a transport that answers ICE checks for `ufrag` and waits, as DTLS server, for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransport {
    /// A new id.
    pub transport: TransportId,
    /// The shard that will own it; the forwarder itself does not look at it.
    pub shard: u32,
    /// Local ICE user fragment.
    pub ufrag: String,
    /// Local ICE password.
    pub password: String,
}

/// What the client's SDP said. Sent again after an ICE restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetRemote {
    /// The transport it is about.
    pub transport: TransportId,
    /// The client's ICE user fragment.
    pub ufrag: String,
    /// The client's ICE password.
    pub password: String,
    /// "sha-256 AA:BB:...".
    pub fingerprint: String,
    /// The client's SCTP port, or `None` when no data section was negotiated.
    pub sctp_port: Option<u16>,
    /// RTP header extension URI and id (1-255), one map for the whole bundle.
    pub extensions: Vec<(String, u8)>,
}

/// New local credentials; the old ones stay valid until a check with the new ones has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartIce {
    /// The transport it is about.
    pub transport: TransportId,
    /// Local ICE user fragment.
    pub ufrag: String,
    /// Local ICE password.
    pub password: String,
}

/// Closes the transport and everything on it. Unknown ids are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseTransport {
    /// The transport to close.
    pub transport: TransportId,
}

/// One simulcast RTP stream, identified by `rid` (learned from header extensions) or by a signalled `ssrc`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodingParameters {
    /// Restriction id, RFC 8851.
    pub rid: Option<String>,
    /// Signalled SSRC.
    pub ssrc: Option<u32>,
    /// Signalled SSRC of its retransmissions.
    pub rtx_ssrc: Option<u32>,
}

/// Media that the client sends to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddProducer {
    /// A new id.
    pub producer: ProducerId,
    /// The client's transport.
    pub transport: TransportId,
    /// Audio or video.
    pub kind: Kind,
    /// The section's mid.
    pub mid: String,
    /// "audio/opus", "video/VP8", "video/H264", "video/VP9", "video/AV1".
    pub mime_type: String,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// Payload type of the media.
    pub payload_type: u8,
    /// Payload type of its retransmissions, if negotiated.
    pub rtx_payload_type: Option<u8>,
    /// From the lowest to the highest quality, 1 to 3.
    pub encodings: Vec<EncodingParameters>,
    /// Whether NACK was negotiated.
    pub nack: bool,
    /// Whether transport-cc was negotiated.
    pub transport_cc: bool,
    /// Whether goog-remb was negotiated.
    pub remb: bool,
    /// Audio only: the client may send RED (RFC 2198) of `payload_type` blocks under this payload type.
    pub red_payload_type: Option<u8>,
}

/// Removes a producer and its consumers. Unknown ids are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveProducer {
    /// The producer to remove.
    pub producer: ProducerId,
}

/// Media that we send to a client: its own SSRC, sequence and timestamp space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddConsumer {
    /// A new id.
    pub consumer: ConsumerId,
    /// Where the media comes from.
    pub producer: ProducerId,
    /// The client's transport.
    pub transport: TransportId,
    /// The section's mid.
    pub mid: String,
    /// New on the transport, for the transport's lifetime.
    pub ssrc: u32,
    /// SSRC of retransmissions; new on the transport too.
    pub rtx_ssrc: Option<u32>,
    /// Payload type that the client expects.
    pub payload_type: u8,
    /// Payload type of retransmissions.
    pub rtx_payload_type: Option<u8>,
    /// RTCP canonical name, the same for all media of one participant.
    pub cname: String,
    /// Whether it starts paused.
    pub paused: bool,
    /// Highest encoding index wanted, 0 is the lowest.
    pub encoding: u8,
    /// RED of the publisher passes under this payload type; without it only its newest block does, as plain audio.
    pub red_payload_type: Option<u8>,
    /// (Minimum, maximum) in units of 10 ms, written into the playout-delay extension; `None`: the publisher's passes.
    pub playout_delay: Option<(u16, u16)>,
}

/// Changes what a consumer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigureConsumer {
    /// The consumer it is about.
    pub consumer: ConsumerId,
    /// Nothing is sent while paused.
    pub paused: bool,
    /// Highest encoding index wanted.
    pub encoding: u8,
}

/// Removes a consumer. Unknown ids are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveConsumer {
    /// The consumer to remove.
    pub consumer: ConsumerId,
}

/// Asks the publisher for a keyframe on every encoding in use, throttled with the requests of subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestKeyframe {
    /// The producer it is about.
    pub producer: ProducerId,
}

/// Opens a channel once SCTP is up: by DCEP when `stream` is `None`, else pre-negotiated on that stream id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDataChannel {
    /// The client's transport.
    pub transport: TransportId,
    /// The name by which data is sent and received.
    pub label: String,
    /// Whether messages arrive in the order they were sent.
    pub ordered: bool,
    /// `None` is reliable.
    pub max_retransmits: Option<u16>,
    /// A pre-negotiated stream id.
    pub stream: Option<u16>,
}

/// One payload to many transports; a transport without the channel is skipped and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendData {
    /// Who gets it.
    pub transports: Vec<TransportId>,
    /// On which channel.
    pub label: String,
    /// At most 256 KiB.
    pub payload: Vec<u8>,
}

/// Stops or resumes reading data from a client, so that SCTP's window pushes back on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PauseData {
    /// The client's transport.
    pub transport: TransportId,
    /// Whether to stop.
    pub paused: bool,
}
