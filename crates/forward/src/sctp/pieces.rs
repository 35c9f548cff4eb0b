//! What a client may make an association keep: the library bounds bytes, and a piece of one byte costs it a hundred.

/// Looks at each packet before the library does.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Payload that came in pieces of honest size, less what small ones cost.
    credit: usize,
    /// Messages that have ended and that nobody has taken yet.
    unread: usize,
}

impl Pieces {
    pub(super) fn new() -> Self {
        Self { credit: CREDIT_START, unread: 0 }
    }

    /// Whether this packet may be handed on. One that may not is lost, as it might have been on the way.
    pub(super) fn admit(&mut self, packet: &[u8]) -> bool {
        let (mut earned, mut cost, mut ended) = (0, 0, 0);
        for (is_whole, is_end, len) in data_chunks(packet) {
            if !is_whole && len < SMALL {
                cost += COST;
            } else {
                earned += len;
            }
            ended += usize::from(is_end);
        }
        if (cost > 0 && self.credit + earned < cost) || (ended > 0 && self.unread + ended > UNREAD_MAX) {
            return false;
        }
        self.credit = (self.credit + earned - cost).min(CREDIT_MAX);
        self.unread += ended;
        true
    }

    /// Everything that was complete has been taken.
    pub(super) fn handle_read(&mut self) {
        self.unread = 0;
    }
}

/// (Whole, last piece, payload length) of each DATA and I-DATA chunk (RFC 9260 section 3.3.1, RFC 8260 section 2.1).
fn data_chunks(packet: &[u8]) -> impl Iterator<Item = (bool, bool, usize)> + '_ {
    let mut rest = packet.get(COMMON_HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        loop {
            let &[kind, flags, high, low] = rest.first_chunk::<4>()?;
            let len = usize::from(u16::from_be_bytes([high, low]));
            // A length below the header's own would not get us any further.
            rest = rest.get(len.max(4).next_multiple_of(4)..).unwrap_or_default();
            let header = match kind {
                0 => 16,
                64 => 20,
                _ => continue,
            };
            return Some((flags & 3 == 3, flags & 1 == 1, len.saturating_sub(header)));
        }
    })
}

const COMMON_HEADER: usize = 12;
// Stacks fill what is left of a packet with the beginning of the next message, and every message has a last piece.
const SMALL: usize = 256;
// Less than the payload beside two small pieces in any packet of an honest stack, more than what one costs to keep.
const COST: usize = 200;
const CREDIT_START: usize = 64 * 1_024;
const CREDIT_MAX: usize = 256 * 1_024;
// A full receive window of messages of 64 bytes, while reading is paused.
const UNREAD_MAX: usize = 16_384;
