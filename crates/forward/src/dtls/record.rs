//! Just enough of DTLS's record layer (RFC 6347 section 4) to see repeated handshake messages and to pack datagrams.

/// One record inside a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) content: u8,
    pub(super) epoch: u16,
    /// The whole record, header included.
    pub(super) bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The handshake message number, when it can be read: only epoch 0 is in the clear.
    pub(super) fn message_seq(&self) -> Option<u16> {
        let handshake = (self.content == HANDSHAKE && self.epoch == 0).then_some(&self.bytes[HEADER..])?;
        Some(u16::from_be_bytes([*handshake.get(4)?, *handshake.get(5)?]))
    }

    /// The handshake message number and how far into the message this fragment reaches; as `message_seq`.
    pub(super) fn fragment_end(&self) -> Option<(u16, u32)> {
        let message = self.message_seq()?;
        let &[o2, o1, o0, l2, l1, l0] = self.bytes.get(HEADER + 6..)?.first_chunk()?;
        Some((message, u32::from_be_bytes([0, o2, o1, o0]) + u32::from_be_bytes([0, l2, l1, l0])))
    }

    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let len = HEADER + usize::from(u16::from_be_bytes([header[11], header[12]]));
        let (bytes, rest) = bytes.split_at_checked(len)?;
        let record = Self { content: header[0], epoch: u16::from_be_bytes([header[3], header[4]]), bytes };
        Some((record, rest))
    }
}

/// The records of a datagram; a truncated one ends the iteration.
pub(super) fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let (record, after) = Record::split(rest)?;
        rest = after;
        Some(record)
    })
}

/// Packs whole records into datagrams of at most `mtu` bytes (a longer record gets its own).
pub(super) fn pack(written: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for record in records(written) {
        match datagrams.last_mut().filter(|last| last.len() + record.bytes.len() <= mtu) {
            Some(last) => last.extend_from_slice(record.bytes),
            None => datagrams.push(record.bytes.to_vec()),
        }
    }
    datagrams
}

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
const HEADER: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content: u8, epoch: u8, message: u8, len: u8) -> Vec<u8> {
        let mut bytes = vec![content, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0, 0, len];
        bytes.extend((0..len).map(|at| if at == 5 { message } else { 0 }));
        bytes
    }

    #[test]
    fn message_numbers_are_read_in_epoch_zero_only() {
        let datagram =
            [record(HANDSHAKE, 0, 3, 20), record(CHANGE_CIPHER_SPEC, 0, 0, 1), record(HANDSHAKE, 1, 4, 40)].concat();
        let seen: Vec<_> = records(&datagram).map(|record| (record.content, record.message_seq())).collect();
        assert_eq!(seen, [(HANDSHAKE, Some(3)), (CHANGE_CIPHER_SPEC, None), (HANDSHAKE, None)]);
    }

    #[test]
    fn truncated_datagrams_end_early() {
        let datagram = [record(HANDSHAKE, 0, 1, 20), record(HANDSHAKE, 0, 2, 20)].concat();
        for len in 0..datagram.len() {
            assert_eq!(records(&datagram[..len]).count(), usize::from(len >= 33));
        }
        assert_eq!(records(&record(HANDSHAKE, 0, 0, 3)).next().unwrap().message_seq(), None);
    }

    #[test]
    fn records_are_packed_whole() {
        let written = [record(HANDSHAKE, 0, 0, 87), record(HANDSHAKE, 0, 1, 87), record(HANDSHAKE, 0, 2, 87)].concat();
        let sizes: Vec<_> = pack(&written, 210).iter().map(Vec::len).collect();
        assert_eq!(sizes, [200, 100]);
        assert_eq!(pack(&written, 50).len(), 3);
        assert_eq!(pack(&written, 210).concat(), written);
    }
}
