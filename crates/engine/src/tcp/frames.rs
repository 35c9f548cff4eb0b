//! Frames of RFC 4571, put together from whatever pieces they come in. No I/O.

use super::{FRAME_HEADER, MAX_FRAME};

/// What came of a frame that is not complete yet.
#[derive(Default)]
pub(super) struct Deframer {
    partial: Vec<u8>,
    /// Bytes of a frame that is too long to be of use, still to be skipped.
    skip: usize,
    /// How many of those there were.
    oversize: u64,
}

impl Deframer {
    /// Takes the next piece of the stream and gives every frame that is complete with it, in place where possible.
    pub(super) fn push(&mut self, piece: &mut [u8], mut handle: impl FnMut(&mut [u8])) {
        let mut rest = piece;
        while !rest.is_empty() {
            rest = if self.skip > 0 {
                let skipped = self.skip.min(rest.len());
                self.skip -= skipped;
                &mut rest[skipped..]
            } else if self.partial.is_empty() {
                self.take_whole(rest, &mut handle)
            } else {
                self.complete(rest, &mut handle)
            };
        }
    }

    /// Frames longer than any of use, since the last call.
    pub(super) fn take_oversize(&mut self) -> u64 {
        std::mem::take(&mut self.oversize)
    }

    /// A frame starts with `rest`: it is handled where it lies, or kept if it goes on in the next piece.
    fn take_whole<'a>(&mut self, rest: &'a mut [u8], handle: &mut impl FnMut(&mut [u8])) -> &'a mut [u8] {
        let Some(len) = announced(rest) else { return self.keep(rest) };
        if self.skips(len) {
            return &mut rest[FRAME_HEADER..];
        }
        let end = FRAME_HEADER + len;
        if rest.len() < end {
            return self.keep(rest);
        }
        let (frame, after) = rest.split_at_mut(end);
        handle(&mut frame[FRAME_HEADER..]);
        after
    }

    /// Adds as much of `rest` as the kept beginning of a frame lacks.
    fn complete<'a>(&mut self, rest: &'a mut [u8], handle: &mut impl FnMut(&mut [u8])) -> &'a mut [u8] {
        let end = announced(&self.partial).map_or(FRAME_HEADER, |len| FRAME_HEADER + len);
        let (taken, after) = rest.split_at_mut(rest.len().min(end - self.partial.len()));
        self.partial.extend_from_slice(taken);
        let Some(len) = announced(&self.partial) else { return after };
        if self.skips(len) {
            self.partial.clear();
        } else if self.partial.len() == FRAME_HEADER + len {
            handle(&mut self.partial[FRAME_HEADER..]);
            self.partial.clear();
        }
        after
    }

    fn keep<'a>(&mut self, rest: &'a mut [u8]) -> &'a mut [u8] {
        self.partial.extend_from_slice(rest);
        &mut []
    }

    fn skips(&mut self, len: usize) -> bool {
        let too_long = len > MAX_FRAME;
        if too_long {
            self.skip = len;
            self.oversize += 1;
        }
        too_long
    }
}

/// The length that a frame's header announces, if it is all there.
pub(super) fn announced(frame: &[u8]) -> Option<usize> {
    frame.first_chunk().map(|header| usize::from(u16::from_be_bytes(*header)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(sizes: &[usize]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let frames: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(at, size)| vec![at as u8 + 1; *size]).collect();
        let bytes = frames.iter().flat_map(|frame| [&(frame.len() as u16).to_be_bytes()[..], frame].concat());
        (frames.clone(), bytes.collect())
    }

    fn deframe(pieces: &mut [&mut [u8]]) -> (Vec<Vec<u8>>, u64) {
        let (mut deframer, mut frames) = (Deframer::default(), Vec::new());
        for piece in pieces {
            deframer.push(piece, |frame| frames.push(frame.to_vec()));
        }
        (frames, deframer.take_oversize())
    }

    #[test]
    fn frames_are_the_same_wherever_the_stream_is_split() {
        let (frames, bytes) = stream(&[20, 0, 1, 300, 2, MAX_FRAME, 5]);
        for first in 0..=bytes.len() {
            let (mut head, mut tail) = (bytes[..first].to_vec(), bytes[first..].to_vec());
            assert_eq!(deframe(&mut [&mut head, &mut tail]), (frames.clone(), 0), "split at {first}");
        }
        for size in 1..64 {
            let mut copy = bytes.clone();
            let mut pieces: Vec<&mut [u8]> = copy.chunks_mut(size).collect();
            assert_eq!(deframe(&mut pieces), (frames.clone(), 0), "in pieces of {size}");
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_skipped_and_the_next_is_found() {
        let (frames, bytes) = stream(&[3, MAX_FRAME + 1, 4, 65_535, 5]);
        let expected = vec![frames[0].clone(), frames[2].clone(), frames[4].clone()];
        for size in [1, 2, 3, 7, 1_000, 5_000, bytes.len()] {
            let mut copy = bytes.clone();
            let mut pieces: Vec<&mut [u8]> = copy.chunks_mut(size).collect();
            assert_eq!(deframe(&mut pieces), (expected.clone(), 2), "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_kept_is_never_longer_than_a_frame() {
        let mut deframer = Deframer::default();
        for _ in 0..10_000 {
            deframer.push(&mut [0xFF; 7], |_| panic!("longer than any frame of use"));
            assert!(deframer.partial.len() <= FRAME_HEADER + MAX_FRAME);
        }
    }
}
