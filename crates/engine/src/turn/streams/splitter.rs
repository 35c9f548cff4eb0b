//! TURN messages out of a stream (RFC 8656 section 2.1, RFC 8489 section 6.2.2), put together from whatever pieces they
//! come in. No I/O.

/// What came of a message that is not complete yet.
#[derive(Default)]
pub(super) struct Splitter {
    partial: Vec<u8>,
    /// A whole STUN message came. Before that, nothing else is one: `GET ` would be `ChannelData` of 21 KiB.
    has_begun: bool,
}

/// The stream holds something that is not TURN; there is no way back into step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotTurn;

impl Splitter {
    /// Takes the next piece of the stream and gives every message that is complete with it, padding of `ChannelData`
    /// included. No message may be longer than `max_len`.
    pub(super) fn push(&mut self, piece: &[u8], max_len: usize, handle: &mut dyn FnMut(&[u8])) -> Result<(), NotTurn> {
        let mut rest = piece;
        while !rest.is_empty() {
            rest = if self.partial.is_empty() {
                self.take_whole(rest, max_len, handle)?
            } else {
                self.complete(rest, max_len, handle)?
            };
        }
        if self.partial.is_empty() && self.partial.capacity() > KEPT_BYTES {
            self.partial = Vec::new();
        }
        Ok(())
    }

    /// A message starts with `rest`: it is handled where it lies, or kept if it goes on in the next piece.
    fn take_whole<'a>(
        &mut self,
        rest: &'a [u8],
        max_len: usize,
        handle: &mut dyn FnMut(&[u8]),
    ) -> Result<&'a [u8], NotTurn> {
        match announced(rest, self.has_begun)? {
            Some(len) if len > max_len => Err(NotTurn),
            Some(len) if len <= rest.len() => {
                let (message, after) = rest.split_at(len);
                self.has_begun = true;
                handle(message);
                Ok(after)
            }
            _ => {
                self.partial.extend_from_slice(rest);
                Ok(&[])
            }
        }
    }

    /// Adds as much of `rest` as the kept beginning lacks: of its header, and then of all of it.
    fn complete<'a>(
        &mut self,
        rest: &'a [u8],
        max_len: usize,
        handle: &mut dyn FnMut(&[u8]),
    ) -> Result<&'a [u8], NotTurn> {
        let want = announced(&self.partial, self.has_begun)?.unwrap_or(self.partial.len() + 1);
        let (taken, after) = rest.split_at(rest.len().min(want - self.partial.len()));
        self.partial.extend_from_slice(taken);
        match announced(&self.partial, self.has_begun)? {
            Some(len) if len > max_len => return Err(NotTurn),
            Some(len) if len == self.partial.len() => {
                self.has_begun = true;
                handle(&self.partial);
                self.partial.clear();
            }
            _ => {}
        }
        Ok(after)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.partial.capacity()
    }
}

/// The length on a stream of the message that `bytes` begin, if they begin one.
pub(super) fn message_len(bytes: &[u8]) -> Option<usize> {
    announced(bytes, true).ok().flatten().filter(|len| *len <= bytes.len())
}

/// The length of the message that `bytes` begin, once enough of its header is there. An error as soon as it can be none.
fn announced(bytes: &[u8], has_begun: bool) -> Result<Option<usize>, NotTurn> {
    match bytes.first() {
        None => Ok(None),
        Some(0..0x40) => announced_stun(bytes),
        Some(0x40..0x80) if has_begun => Ok(length(bytes).map(|len| (CHANNEL_HEADER + len).next_multiple_of(4))),
        Some(_) => Err(NotTurn),
    }
}

/// The cookie has to be there before a length is believed.
fn announced_stun(bytes: &[u8]) -> Result<Option<usize>, NotTurn> {
    let cookie = bytes.get(4..).unwrap_or_default();
    let seen = cookie.len().min(COOKIE.len());
    if cookie[..seen] != COOKIE[..seen] || length(bytes).is_some_and(|len| len % 4 != 0) {
        return Err(NotTurn);
    }
    Ok(length(bytes).filter(|_| seen == COOKIE.len()).map(|len| STUN_HEADER + len))
}

fn length(bytes: &[u8]) -> Option<usize> {
    bytes.get(2..4).map(|length| usize::from(u16::from_be_bytes([length[0], length[1]])))
}

const STUN_HEADER: usize = wire::stun::HEADER_LEN;
const CHANNEL_HEADER: usize = wire::channeldata::HEADER_LEN;
const COOKIE: [u8; 4] = wire::stun::MAGIC_COOKIE.to_be_bytes();
/// Of an idle connection: there may be thousands. Most messages are shorter.
const KEPT_BYTES: usize = 2 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = usize::MAX;

    fn stun(len: usize) -> Vec<u8> {
        let mut message = vec![0, 1];
        message.extend_from_slice(&(len as u16).to_be_bytes());
        message.extend_from_slice(&COOKIE);
        message.extend((0..12 + len).map(|at| at as u8));
        message
    }

    fn channel_data(len: usize) -> Vec<u8> {
        let mut message = vec![0x40, 0x01];
        message.extend_from_slice(&(len as u16).to_be_bytes());
        message.extend((0..len).map(|at| at as u8));
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max_len: usize) -> Result<Vec<Vec<u8>>, NotTurn> {
        let (mut splitter, mut messages) = (Splitter::default(), Vec::new());
        for piece in pieces {
            splitter.push(piece, max_len, &mut |message| messages.push(message.to_vec()))?;
        }
        assert!(splitter.partial.is_empty() && splitter.capacity() <= KEPT_BYTES);
        Ok(messages)
    }

    fn conversation() -> Vec<Vec<u8>> {
        vec![
            stun(0),
            channel_data(0),
            stun(8),
            channel_data(1),
            channel_data(2),
            channel_data(3),
            channel_data(4),
            stun(64),
        ]
    }

    #[test]
    fn messages_are_the_same_however_the_stream_is_cut() {
        let expected = conversation();
        let stream = expected.concat();
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(split(pieces, MAX).as_ref(), Ok(&expected), "cut at {first} and {second}");
            }
        }
        for size in 1..=stream.len() {
            assert_eq!(split(stream.chunks(size), MAX).as_ref(), Ok(&expected), "pieces of {size}");
        }
    }

    #[test]
    fn the_longest_messages_pass_and_leave_no_memory_behind() {
        let expected = vec![stun(65_532), channel_data(65_535), stun(0)];
        let stream = expected.concat();
        for size in [1_000, 16_384, stream.len()] {
            assert_eq!(split(stream.chunks(size), MAX).as_ref(), Ok(&expected));
        }
    }

    #[test]
    fn what_is_not_turn_is_noticed_at_its_first_wrong_byte() {
        let wrong_at = |bytes: &[u8]| {
            let mut splitter = Splitter::default();
            bytes.iter().position(|byte| splitter.push(&[*byte], MAX, &mut |_| {}).is_err())
        };
        assert_eq!(wrong_at(b"GET / HTTP/1.1\r\n"), Some(0));
        assert_eq!(wrong_at(&[0x80; 100]), Some(0));
        assert_eq!(wrong_at(&[0xff; 100]), Some(0));
        assert_eq!(wrong_at(&channel_data(4)), Some(0), "there is no channel yet");
        assert_eq!(wrong_at(&[0x16, 3, 1, 2, 0, 1, 0, 1]), Some(3), "TLS where none is spoken");
        assert_eq!(wrong_at(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x43]), Some(7));
        assert_eq!(wrong_at(&[0, 1, 0, 2]), Some(3), "a length that is no multiple of four");
        let after = [stun(0), vec![0xc0]].concat();
        assert_eq!(wrong_at(&after), Some(20));
    }

    #[test]
    fn a_message_that_announces_too_much_ends_the_stream_before_it_is_held() {
        assert_eq!(split([&stun(100)[..]], 120), Ok(vec![stun(100)]));
        assert_eq!(split([&stun(104)[..]], 120), Err(NotTurn));
        assert_eq!(split(stun(104)[..8].chunks(1), 120), Err(NotTurn));
    }
}
