//! What a transport tells the one that drives it, and why it refuses or drops something.

use std::fmt;

use crate::Path;
use crate::srtp::{Profile, SrtpRejection};

/// What happened on a transport; polled with `Transport::poll_event`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportEvent {
    /// DTLS is done, the fingerprint matched, and the path is proven or was asked in vain for a while; SRTP and SCTP exist.
    Connected {
        /// The selected path.
        path: Path,
        /// What DTLS negotiated.
        profile: Profile,
    },
    /// Another path was selected.
    PathChanged(Path),
    /// A path fell out of the table of eight: its tuple no longer belongs to this transport.
    PathForgotten(Path),
    /// The local ufrag from before an ICE restart is no longer valid.
    UfragRetired(String),
    /// The transport ended by itself. Nothing follows.
    Closed(CloseReason),
    /// A data channel with this label is ready in both directions.
    ChannelOpened {
        /// The channel's label.
        label: String,
    },
    /// A message from the client.
    Data {
        /// The label of the channel it came on.
        label: String,
        /// At most 256 KiB.
        payload: Vec<u8>,
    },
    /// More than 1 MiB waits towards this client.
    Overflow,
    /// After `Overflow`: less than 256 KiB waits.
    Low,
}

/// Why a transport ended by itself. `as_str` gives the seam's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The handshake failed or timed out, or the client has no certificate.
    DtlsFailed,
    /// The client's certificate is not the one that its SDP announced.
    FingerprintMismatch,
    /// No verified connectivity check for 30 s.
    ConsentExpired,
    /// The client sent `close_notify`.
    PeerClosed,
    /// A protocol library failed or panicked.
    InternalError,
}

impl CloseReason {
    /// The reason as the seam spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DtlsFailed => "dtls_failed",
            Self::FingerprintMismatch => "fingerprint_mismatch",
            Self::ConsentExpired => "consent_expired",
            Self::PeerClosed => "peer_closed",
            Self::InternalError => "internal_error",
        }
    }
}

/// What became of a STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StunOutcome {
    /// Its integrity verified. The response, if one is due, waits in `poll_datagram`.
    Verified {
        /// The path was not known before: its tuple belongs to this transport from now on.
        new_path: bool,
    },
    /// A keep-alive, which carries no proof of anything.
    Ignored,
    /// Dropped in silence.
    Rejected(StunRejection),
}

/// Why a STUN message was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StunRejection {
    /// Not a STUN message, or not one that ICE uses.
    Malformed,
    /// The username's first half is not our ufrag.
    WrongUsername,
    /// No MESSAGE-INTEGRITY, or one that does not verify.
    BadIntegrity,
    /// A response to a check that we did not send, or no longer wait for.
    UnknownTransaction,
    /// The transport is closed.
    Closed,
}

/// Why an SRTP or SRTCP packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drop {
    /// DTLS is not done: there are no keys yet.
    NotConnected,
    /// Not an RTP or RTCP packet, or too short to carry a tag.
    Malformed,
    /// Its authentication tag does not verify.
    BadAuthentication,
    /// Seen before.
    Replayed,
    /// Older than the replay window.
    TooOld,
}

impl From<SrtpRejection> for Drop {
    fn from(rejection: SrtpRejection) -> Self {
        match rejection {
            SrtpRejection::Malformed => Self::Malformed,
            SrtpRejection::BadAuthentication => Self::BadAuthentication,
            SrtpRejection::Replayed => Self::Replayed,
            SrtpRejection::TooOld => Self::TooOld,
        }
    }
}

impl Drop {
    /// A stable name for counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::Malformed => "malformed",
            Self::BadAuthentication => "bad_authentication",
            Self::Replayed => "replayed",
            Self::TooOld => "too_old",
        }
    }
}

/// Why a command about a transport could not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The fingerprint is not `sha-256` followed by 32 hex pairs.
    BadFingerprint,
    /// No SCTP association was negotiated with `Remote::sctp_port`.
    NoData,
    /// The channel's label or stream id is taken, or 64 channels are open.
    ChannelTaken,
    /// The transport is closed.
    Closed,
}

impl Refusal {
    /// A stable name for logs and `Refused` events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadFingerprint => "bad_fingerprint",
            Self::NoData => "no_data_section",
            Self::ChannelTaken => "channel_taken",
            Self::Closed => "transport_closed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Refusal {}
