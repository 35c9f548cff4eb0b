//! Frames on their way into a connection: bounded, whole frames or none.

use std::io::{self, Write};

use super::FRAME_HEADER;
use crate::byte_queue::ByteQueue;

/// What the kernel has not taken yet, frame after frame.
#[derive(Default)]
pub(super) struct WriteQueue {
    bytes: ByteQueue,
}

impl WriteQueue {
    /// Queues one datagram as a frame; false when there is no room and it is dropped.
    pub(super) fn push(&mut self, datagram: &[u8]) -> bool {
        // Checks, handshakes and data keep a connection alive and are few: media leaves them some room.
        let is_media = datagram.first().is_some_and(|first| (128..192).contains(first));
        let bound = if is_media { MEDIA_BYTES } else { MAX_BYTES };
        let Ok(len) = u16::try_from(datagram.len()) else { return false };
        if self.bytes.len() + FRAME_HEADER + datagram.len() > bound {
            return false;
        }
        self.bytes.extend(&len.to_be_bytes());
        self.bytes.extend(datagram);
        true
    }

    /// Writes as much as `stream` takes, which is true when that was all. An error ends the connection.
    pub(super) fn write_to(&mut self, stream: &mut impl Write) -> io::Result<bool> {
        self.bytes.write_to(stream)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A second of 2 Mbit/s, on top of what the kernel holds. Media that is older than that is of no use to a call.
const MEDIA_BYTES: usize = 256 << 10;
const MAX_BYTES: usize = MEDIA_BYTES + (64 << 10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::byte_queue::KEPT_BYTES;

    /// Takes so many bytes at a time, then none until asked again.
    struct Trickle {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Trickle {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn media(at: usize) -> Vec<u8> {
        [&[128, 96], &vec![at as u8; 1 + at % 1_200][..]].concat()
    }

    #[test]
    fn a_write_that_took_a_part_is_continued_at_every_byte() {
        let mut expected = Vec::new();
        let mut queue = WriteQueue::default();
        let mut stream = Trickle { taken: Vec::new(), room: 0 };
        for at in 0..50 {
            let datagram = media(at * 7);
            expected.extend_from_slice(&(datagram.len() as u16).to_be_bytes());
            expected.extend_from_slice(&datagram);
            assert!(queue.push(&datagram));
            stream.room = at % 3;
            queue.write_to(&mut stream).expect("no error");
        }
        let mut writes = 0;
        loop {
            stream.room = 1;
            writes += 1;
            if queue.write_to(&mut stream).expect("no error") {
                break;
            }
        }
        assert!(writes > 1_000);
        assert_eq!(stream.taken, expected);
    }

    #[test]
    fn a_full_queue_drops_whole_frames_and_leaves_room_for_checks() {
        let mut queue = WriteQueue::default();
        let pushed = (0..1_000).filter(|_| queue.push(&media(1_199))).count();
        assert_eq!(pushed, MEDIA_BYTES / (2 + 2 + 1_200));
        assert!(queue.push(&[0, 1, 0, 0]), "a check still fits");
        let more = (0..1_000).filter(|_| queue.push(&[22; 1_200])).count();
        assert!(more > 10 && more < 100);
        let mut stream = Trickle { taken: Vec::new(), room: usize::MAX };
        assert!(queue.write_to(&mut stream).expect("no error"));
        let mut frames = 0;
        let mut rest = &stream.taken[..];
        while let Some((header, after)) = rest.split_first_chunk() {
            rest = &after[usize::from(u16::from_be_bytes(*header))..];
            frames += 1;
        }
        assert_eq!(frames, pushed + 1 + more);
        assert!(queue.push(&media(1)) && queue.bytes.capacity() <= KEPT_BYTES);
    }
}
