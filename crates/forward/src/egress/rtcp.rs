//! Finished RTCP packets in clear text, gathered into compounds that fit a datagram.

/// The RTCP that waits for one client.
#[derive(Debug, Default)]
pub(crate) struct RtcpQueue {
    bytes: Vec<u8>,
    /// Where each compound ends.
    ends: Vec<usize>,
}

impl RtcpQueue {
    /// Lets `write` append packets (it gets the room and gives the length), in the last compound if they fit there.
    ///
    /// False when the packets do not fit a compound of their own, or the queue is full.
    pub(crate) fn push(&mut self, mut write: impl FnMut(&mut [u8]) -> Option<usize>) -> bool {
        if self.ends.len() >= MAX_COMPOUNDS {
            return false;
        }
        let end = self.bytes.len();
        let start = self.ends.len().checked_sub(2).map_or(0, |before| self.ends[before]);
        if !self.ends.is_empty() && end - start < MAX_COMPOUND {
            self.bytes.resize(start + MAX_COMPOUND, 0);
            if let Some(len) = write(&mut self.bytes[end..]) {
                self.bytes.truncate(end + len);
                if let Some(last) = self.ends.last_mut() {
                    *last = end + len;
                }
                return true;
            }
        }
        self.bytes.resize(end + MAX_COMPOUND, 0);
        let len = write(&mut self.bytes[end..]);
        self.bytes.truncate(end + len.unwrap_or(0));
        if len.is_some() {
            self.ends.push(self.bytes.len());
        }
        len.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Every compound, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().scan(0, |start, end| {
            let compound = &self.bytes[*start..*end];
            *start = *end;
            Some(compound)
        })
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// 1,200 bytes are what every path carries; SRTCP adds up to 20.
pub(crate) const MAX_COMPOUND: usize = 1_160;
const MAX_COMPOUNDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_share_a_compound_until_it_is_full() {
        let mut queue = RtcpQueue::default();
        for packet in 0..4_u8 {
            let fits = queue.push(|buf| {
                let room = buf.get_mut(..400)?;
                room.fill(packet);
                Some(400)
            });
            assert!(fits);
        }
        let compounds: Vec<_> = queue.iter().map(|compound| (compound.len(), compound[0], compound[400])).collect();
        assert_eq!(compounds, [(800, 0, 1), (800, 2, 3)]);
        assert!(!queue.push(|_| None));
        queue.clear();
        assert!(queue.is_empty());
    }
}
