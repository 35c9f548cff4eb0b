//! The last bytes of a payload: which flow it belongs to, its number in it, and when it was sent. No server reads that far, so media
//! that carries it is forwarded like any other.

use std::time::Duration;

/// One RTP stream of one publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flow(u32);

/// Which of a publisher's streams it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Layer {
    Audio,
    Low,
    Medium,
    High,
}

impl Layer {
    pub(crate) const ALL: [Self; 4] = [Self::Audio, Self::Low, Self::Medium, Self::High];

    /// The layer of a simulcast stream; one without rid is all there is.
    pub(crate) fn of_rid(rid: Option<&str>) -> Self {
        match rid {
            Some("q") => Self::Low,
            Some("h") => Self::Medium,
            _ => Self::High,
        }
    }
}

impl Flow {
    pub(crate) fn new(participant: u32, layer: Layer) -> Self {
        Self(participant << LAYER_BITS | layer as u32)
    }

    /// The number of the participant that sends it.
    pub(crate) fn participant(self) -> u32 {
        self.0 >> LAYER_BITS
    }

    pub(crate) fn layer(self) -> Layer {
        Layer::ALL[(self.0 & ((1 << LAYER_BITS) - 1)) as usize]
    }
}

/// What a payload says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) flow: Flow,
    /// Of the packet in its flow.
    pub(crate) number: u32,
    /// Since the generator started.
    pub(crate) at: Duration,
}

impl Stamp {
    /// Writes it over the end of a payload; false where the payload is too short to spare the room.
    pub(crate) fn write(&self, payload: &mut [u8]) -> bool {
        if payload.len() < MIN_PAYLOAD_BYTES {
            return false;
        }
        let start = payload.len() - BYTES;
        let room = &mut payload[start..];
        room[..4].copy_from_slice(&MAGIC.to_be_bytes());
        room[4..8].copy_from_slice(&self.flow.0.to_be_bytes());
        room[8..12].copy_from_slice(&self.number.to_be_bytes());
        room[12..].copy_from_slice(&(self.at.as_nanos() as u64).to_be_bytes());
        true
    }

    /// Reads it back; `None` where there is none.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        if payload.len() < MIN_PAYLOAD_BYTES {
            return None;
        }
        let (magic, rest) = payload[payload.len() - BYTES..].split_first_chunk()?;
        let (flow, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let at = rest.first_chunk()?;
        (u32::from_be_bytes(*magic) == MAGIC).then(|| Self {
            flow: Flow(u32::from_be_bytes(*flow)),
            number: u32::from_be_bytes(*number),
            at: Duration::from_nanos(u64::from_be_bytes(*at)),
        })
    }
}

pub(crate) const BYTES: usize = 20;
/// What comes before the stamp is enough for every payload descriptor that a server reads.
pub(crate) const MIN_PAYLOAD_BYTES: usize = 40;
const MAGIC: u32 = 0xbee9_57a3;
const LAYER_BITS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            flow: Flow::new(4_711, Layer::Medium),
            number: 4_000_000_000,
            at: Duration::from_nanos(123_456_789_012),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut payload = vec![0xff; 1_100];
        assert!(stamp().write(&mut payload));
        assert_eq!(Stamp::read(&payload), Some(stamp()));
        assert!(payload[..1_100 - BYTES].iter().all(|byte| *byte == 0xff));
    }

    #[test]
    fn a_flow_knows_its_participant_and_its_layer() {
        for layer in Layer::ALL {
            let flow = Flow::new(1_000_000, layer);
            assert_eq!((flow.participant(), flow.layer()), (1_000_000, layer));
        }
    }

    #[test]
    fn short_payloads_carry_none() {
        let mut payload = vec![0; MIN_PAYLOAD_BYTES - 1];
        assert!(!stamp().write(&mut payload));
        assert_eq!(payload, vec![0; MIN_PAYLOAD_BYTES - 1]);
        assert_eq!(Stamp::read(&payload), None);
    }

    #[test]
    fn other_payloads_have_none() {
        assert_eq!(Stamp::read(&[0; 100]), None);
        let mut payload = vec![0; 100];
        stamp().write(&mut payload);
        assert_eq!(Stamp::read(&payload[..99]), None);
    }
}
