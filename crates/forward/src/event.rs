//! Events, in the past tense: what the forwarder tells the layer above. Plain data, one to one with `sfu/seam.py`.

use std::net::SocketAddr;

use crate::{ConsumerId, PathProtocol, ProducerId, TransportId};

/// What one transport's media went through since its last report. Counts are packets, without retransmissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportReport {
    /// The transport.
    pub transport: TransportId,
    /// Smoothed; `None` before the first measurement.
    pub rtt_ms: Option<u32>,
    /// From the client to us, as we count it.
    pub inbound_expected: u32,
    /// Of those.
    pub inbound_lost: u32,
    /// From us to the client, as its receiver reports say.
    pub outbound_expected: u32,
    /// Of those.
    pub outbound_lost: u32,
}

/// One event; polled with `Forwarder::poll_event`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// DTLS is done and the fingerprint matched: media and data may flow.
    TransportConnected {
        /// The transport.
        transport: TransportId,
        /// The client's address.
        remote: SocketAddr,
        /// Name of the SRTP profile that was negotiated.
        srtp_profile: &'static str,
        /// What carries the path.
        protocol: PathProtocol,
    },
    /// The transport ended by itself; never in answer to `CloseTransport`.
    TransportClosed {
        /// The transport.
        transport: TransportId,
        /// `dtls_failed`, `fingerprint_mismatch`, `consent_expired`, `peer_closed` or `internal_error`.
        reason: &'static str,
    },
    /// Media goes to another path. Of several that wait only the last is told.
    PathChanged {
        /// The transport.
        transport: TransportId,
        /// The client's new address.
        remote: SocketAddr,
        /// What carries the path.
        protocol: PathProtocol,
    },
    /// First packet of an encoding (again after `EncodingLost`).
    EncodingSeen {
        /// The producer.
        producer: ProducerId,
        /// Which of its encodings, 0 is the lowest.
        encoding: u8,
        /// The SSRC that carries it.
        ssrc: u32,
    },
    /// No packet for a while: the client stopped the encoding or muted.
    EncodingLost {
        /// The producer.
        producer: ProducerId,
        /// Which of its encodings.
        encoding: u8,
    },
    /// The encoding now on the wire; `None` while nothing is sent.
    ConsumerLayerChanged {
        /// The consumer.
        consumer: ConsumerId,
        /// Which encoding of the producer.
        encoding: Option<u8>,
    },
    /// One batch per 100 ms: level in -dBov, 0 loudest to 127 silent; only producers heard in that window.
    AudioLevels {
        /// Loudest level of each producer in the window.
        levels: Vec<(ProducerId, u8)>,
    },
    /// One batch every 2 s: the connected transports that carried media.
    TransportReports {
        /// At most one of each transport.
        reports: Vec<TransportReport>,
    },
    /// A channel with this label is ready in both directions.
    DataChannelOpened {
        /// The transport.
        transport: TransportId,
        /// The channel's label.
        label: String,
    },
    /// A message from the client.
    DataReceived {
        /// The transport.
        transport: TransportId,
        /// The label of the channel it came on.
        label: String,
        /// The message.
        payload: Vec<u8>,
    },
    /// More than the high-water mark waits towards this client; `DataLow` follows when it has drained.
    DataOverflow {
        /// The transport.
        transport: TransportId,
    },
    /// After `DataOverflow`: there is room again.
    DataLow {
        /// The transport.
        transport: TransportId,
    },
    /// A command could not be carried out.
    Refused {
        /// The command's name.
        command: &'static str,
        /// The id it was about.
        id: u64,
        /// A stable word.
        reason: &'static str,
    },
    /// A shard's thread died. Sent by the engine only.
    ShardFailed {
        /// The shard.
        shard: u32,
        /// What it said.
        reason: String,
    },
}
