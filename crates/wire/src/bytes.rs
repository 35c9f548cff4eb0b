//! Bounds-checked big-endian access, the only way this crate reads and appends integers.

use crate::ParseError;

#[inline]
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], ParseError> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(ParseError::Truncated)
}

#[inline]
pub(crate) fn u8_at(bytes: &[u8], at: usize) -> Result<u8, ParseError> {
    bytes.get(at).copied().ok_or(ParseError::Truncated)
}

#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, ParseError> {
    array_at(bytes, at).map(u16::from_be_bytes)
}

#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, ParseError> {
    array_at(bytes, at).map(u32::from_be_bytes)
}

#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Result<u64, ParseError> {
    array_at(bytes, at).map(u64::from_be_bytes)
}

/// The big-endian `u32` of a slice that `chunks_exact(4)` made; 0 for any other slice.
#[inline]
pub(crate) fn u32_of(chunk: &[u8]) -> u32 {
    u32_at(chunk, 0).unwrap_or(0)
}

/// Appends to a caller's slice and remembers when something did not fit.
pub(crate) struct Appender<'a> {
    buf: &'a mut [u8],
    len: usize,
    overflow: bool,
}

impl<'a> Appender<'a> {
    #[inline]
    pub(crate) fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0, overflow: false }
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        match self.buf.get_mut(self.len..self.len + bytes.len()) {
            Some(room) if !self.overflow => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.overflow = true,
        }
        self
    }

    #[inline]
    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.put(&[value])
    }

    #[inline]
    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    #[inline]
    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    #[inline]
    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    /// Appends zeros up to a multiple of four.
    #[inline]
    pub(crate) fn align4(&mut self) -> &mut Self {
        let zeros = self.len.wrapping_neg() % 4;
        self.put(&[0; 3][..zeros])
    }

    /// Overwrites a `u16` that was appended earlier.
    #[inline]
    pub(crate) fn patch_u16(&mut self, at: usize, value: u16) {
        if let Some(room) = self.written_mut().get_mut(at..at + 2) {
            room.copy_from_slice(&value.to_be_bytes());
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn written_mut(&mut self) -> &mut [u8] {
        &mut self.buf[..self.len]
    }

    /// Bytes appended, or `None` when any of them had no room.
    #[inline]
    pub(crate) fn finish(&self) -> Option<usize> {
        (!self.overflow).then_some(self.len)
    }
}
