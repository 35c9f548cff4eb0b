//! The first bytes of every payload: which flow it is, its number in it, and when it was sent. They begin like RTP, so that
//! an SFU that gets them takes them for media of somebody it does not know.

use std::time::Duration;

/// What a payload says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Of the generator, so that what an earlier run left in a buffer is not counted.
    pub(crate) run: u16,
    pub(crate) flow: u32,
    pub(crate) number: u32,
    /// Since the generator started.
    pub(crate) at: Duration,
}

impl Stamp {
    /// Writes it at the start of a payload of at least `BYTES`.
    pub(crate) fn write(&self, payload: &mut [u8]) {
        payload[..2].copy_from_slice(&RTP);
        payload[2..4].copy_from_slice(&self.run.to_be_bytes());
        payload[4..8].copy_from_slice(&self.number.to_be_bytes());
        payload[8..12].copy_from_slice(&self.flow.to_be_bytes());
        payload[12..BYTES].copy_from_slice(&(self.at.as_nanos() as u64).to_be_bytes());
    }

    /// Reads it back; `None` from anything else.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let (start, rest) = payload.split_first_chunk::<4>()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (flow, rest) = rest.split_first_chunk()?;
        let at = rest.first_chunk()?;
        let run = u16::from_be_bytes([start[2], start[3]]);
        let stamp = Self {
            run,
            flow: u32::from_be_bytes(*flow),
            number: u32::from_be_bytes(*number),
            at: Duration::from_nanos(u64::from_be_bytes(*at)),
        };
        (start[..2] == RTP).then_some(stamp)
    }
}

pub(crate) const BYTES: usize = 20;
/// Version 2, payload type 96.
const RTP: [u8; 2] = [0x80, 0x60];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let stamp = Stamp { run: 513, flow: 70_000, number: 4_000_000_000, at: Duration::from_nanos(123_456_789_012) };
        let mut payload = [0xff; 32];
        stamp.write(&mut payload);
        assert_eq!(Stamp::parse(&payload), Some(stamp));
        assert_eq!(Stamp::parse(&payload[..BYTES - 1]), None);
        assert_eq!(Stamp::parse(&[0; 32]), None);
    }
}
