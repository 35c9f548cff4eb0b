//! Writes an extension block in place, behind a fixed RTP header.

use std::time::Duration;

use super::{ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};

/// Writes one extension block at the start of a slice.
pub struct Writer<'a> {
    buf: &'a mut [u8],
    len: usize,
    two_byte: bool,
}

impl<'a> Writer<'a> {
    /// Starts a block with one- or two-byte element headers. `buf` may be too small: then every push fails.
    #[inline]
    pub fn new(buf: &'a mut [u8], two_byte: bool) -> Self {
        Self { buf, len: BLOCK_HEADER_LEN, two_byte }
    }

    /// Appends one element. `false`, and nothing written, when this form cannot express it (one-byte: ids 1-14 with 1-16 bytes;
    /// two-byte: ids 1-255 with 0-255 bytes) or it does not fit.
    #[inline]
    pub fn push(&mut self, id: u8, value: &[u8]) -> bool {
        let len = value.len();
        let header_len = if self.two_byte { 2 } else { 1 };
        let fits_form =
            if self.two_byte { id != 0 && len <= 255 } else { (1..=14).contains(&id) && (1..=16).contains(&len) };
        let end = self.len + header_len + len;
        if !fits_form || end.next_multiple_of(4) > self.buf.len() {
            return false;
        }
        if self.two_byte {
            self.buf[self.len] = id;
            self.buf[self.len + 1] = len as u8;
        } else {
            self.buf[self.len] = (id << 4) | (len as u8 - 1);
        }
        self.buf[self.len + header_len..end].copy_from_slice(value);
        self.len = end;
        true
    }

    /// Where in the slice the next element's header will go.
    #[inline]
    pub fn position(&self) -> usize {
        self.len
    }

    /// Pads the block, writes its header and returns its length, a multiple of four. 0 when it has no elements: then leave the
    /// header's X bit clear.
    #[inline]
    pub fn finish(self) -> usize {
        if self.len == BLOCK_HEADER_LEN {
            return 0;
        }
        let end = self.len.next_multiple_of(4);
        self.buf[self.len..end].fill(0);
        let profile = if self.two_byte { TWO_BYTE_PROFILE } else { ONE_BYTE_PROFILE };
        self.buf[..2].copy_from_slice(&profile.to_be_bytes());
        self.buf[2..4].copy_from_slice(&(((end - BLOCK_HEADER_LEN) / 4) as u16).to_be_bytes());
        end
    }
}

/// A departure time as the abs-send-time extension writes it: 6.18 fixed point, wrapping every 64 s.
#[inline]
pub fn encode_abs_send_time(since_any_epoch: Duration) -> [u8; 3] {
    let fraction = (u64::from(since_any_epoch.subsec_nanos()) << 18) / 1_000_000_000;
    let [.., a, b, c] = ((since_any_epoch.as_secs() << 18) | fraction).to_be_bytes();
    [a, b, c]
}

/// An audio level (-dBov, 0-127) with its voice flag (RFC 6464).
#[inline]
pub fn encode_audio_level(level: u8, voice: bool) -> [u8; 1] {
    [(u8::from(voice) << 7) | level.min(127)]
}

const BLOCK_HEADER_LEN: usize = 4;
