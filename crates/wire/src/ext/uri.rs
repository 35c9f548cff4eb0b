//! The header extensions we know, by the URI that SDP negotiates them with.

macro_rules! uris {
    ($($(#[$doc:meta])* $name:ident = $uri:literal,)*) => {
        /// A header extension that this SFU reads, writes or passes through.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Uri {
            $($(#[$doc])* $name,)*
        }

        impl Uri {
            /// Every known extension.
            pub const ALL: [Self; [$(Self::$name),*].len()] = [$(Self::$name),*];

            /// The extension with this URI, exactly as written in `a=extmap`.
            pub fn from_uri(uri: &str) -> Option<Self> {
                match uri {
                    $($uri => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The URI as written in `a=extmap`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $uri,)*
                }
            }
        }
    };
}

uris! {
    /// Media section of the packet (RFC 9143).
    Mid = "urn:ietf:params:rtp-hdrext:sdes:mid",
    /// Simulcast encoding of the packet (RFC 8852).
    Rid = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    /// Simulcast encoding that an RTX packet repairs (RFC 8852).
    RepairedRid = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    /// Client-to-mixer audio level (RFC 6464).
    AudioLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    /// Departure time, 6.18 fixed point seconds.
    AbsSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    /// Transport-wide sequence number.
    TransportCc = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    /// AV1's Dependency Descriptor, used with other codecs too.
    DependencyDescriptor = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    /// Coordination of video orientation (3GPP TS 26.114).
    VideoOrientation = "urn:3gpp:video-orientation",
    /// Minimum and maximum playout delay.
    PlayoutDelay = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    /// NTP time of capture.
    AbsCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    /// Camera or screen.
    VideoContentType = "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
    /// Encoder and pacer timing.
    VideoTiming = "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
    /// Colour space and HDR metadata.
    ColorSpace = "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
    /// Transmission time offset (RFC 5450).
    TransmissionOffset = "urn:ietf:params:rtp-hdrext:toffset",
    /// Active layers and their bitrates.
    VideoLayersAllocation = "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
}
