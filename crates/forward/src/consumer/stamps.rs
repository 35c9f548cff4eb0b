//! What the last packets left with: a client without RTX gets a lost one again byte for byte or not at all, because
//! SRTP must not encrypt two things under one index (RFC 3711 section 9.1).

use crate::egress::Stamps;

/// The stamps of a consumer's last packets, by index. Made with the first one.
#[derive(Debug, Default)]
pub(crate) struct SentStamps {
    sent: Option<Box<[Sent; KEPT]>>,
}

type Sent = Option<(u64, Stamps)>;

impl SentStamps {
    /// A packet left.
    #[inline]
    pub(crate) fn note(&mut self, index: u64, stamps: Stamps) {
        let sent = self.sent.get_or_insert_with(|| Box::new([None; KEPT]));
        sent[index as usize % KEPT] = Some((index, stamps));
    }

    /// The stamps that this packet left with.
    pub(crate) fn of(&self, index: u64) -> Option<Stamps> {
        let (noted, stamps) = self.sent.as_ref()?[index as usize % KEPT]?;
        (noted == index).then_some(stamps)
    }

    /// Headers look different from now on: nothing can be repeated as it was.
    pub(crate) fn clear(&mut self) {
        self.sent = None;
    }
}

// A second of 4 Mbit/s; 8 KiB.
const KEPT: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_known_until_they_are_cleared() {
        let stamps = |twcc| Stamps { twcc, abs_send_time: [1, 2, 3] };
        let mut sent = SentStamps::default();
        assert_eq!(sent.of(0), None);
        for index in 0..600 {
            sent.note(index, stamps(index as u16));
        }
        assert_eq!((sent.of(87), sent.of(88), sent.of(599)), (None, Some(stamps(88)), Some(stamps(599))));
        assert_eq!(sent.of(600), None);
        sent.clear();
        assert_eq!(sent.of(599), None);
    }
}
