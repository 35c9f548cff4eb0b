//! Which protocol a datagram on the shared port belongs to (RFC 7983 §7, RFC 5761 §4). First bytes only; parsers judge the rest.

/// The protocols that share one UDP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// STUN and TURN messages.
    Stun,
    /// DTLS records.
    Dtls,
    /// SRTP.
    Rtp,
    /// SRTCP, multiplexed with SRTP.
    Rtcp,
    /// TURN `ChannelData`.
    ChannelData,
    /// Anything else: ZRTP, QUIC, noise, empty datagrams.
    Unknown,
}

/// Classifies a datagram by its first two bytes.
#[inline]
pub fn classify(datagram: &[u8]) -> Protocol {
    match *datagram {
        [128..=191, second, ..] => match second {
            // RFC 5761 §4: with the marker bit, payload types 64-95 would collide and are therefore never used for RTP.
            192..=223 => Protocol::Rtcp,
            _ => Protocol::Rtp,
        },
        [0..=3, ..] => Protocol::Stun,
        [20..=63, ..] => Protocol::Dtls,
        [64..=79, ..] => Protocol::ChannelData,
        _ => Protocol::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_decide() {
        let cases: [(&[u8], Protocol); 14] = [
            (&[], Protocol::Unknown),
            (&[0, 1], Protocol::Stun),
            (&[3], Protocol::Stun),
            (&[4], Protocol::Unknown),
            (&[16, 0], Protocol::Unknown),
            (&[20, 254], Protocol::Dtls),
            (&[63, 254], Protocol::Dtls),
            (&[64, 0], Protocol::ChannelData),
            (&[79, 0], Protocol::ChannelData),
            (&[80, 0], Protocol::Unknown),
            (&[128], Protocol::Unknown),
            (&[128, 111], Protocol::Rtp),
            (&[0x90, 0xe0], Protocol::Rtp),
            (&[192, 200], Protocol::Unknown),
        ];
        for (datagram, protocol) in cases {
            assert_eq!(classify(datagram), protocol, "{datagram:?}");
        }
        for second in 192..=223 {
            assert_eq!(classify(&[0x81, second]), Protocol::Rtcp);
        }
        assert_eq!(classify(&[0x81, 191]), Protocol::Rtp);
        assert_eq!(classify(&[0x81, 224]), Protocol::Rtp);
    }
}
