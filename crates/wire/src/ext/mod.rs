//! RTP header extensions (RFC 8285): the blocks, the URI table, the normal form and the writer.

mod map;
mod parsed;
mod uri;
mod writer;

pub use map::ExtensionMap;
pub use parsed::{Parsed, parse};
pub use uri::Uri;
pub use writer::{Writer, encode_abs_send_time, encode_audio_level};

/// Profile of a block whose elements have one-byte headers (RFC 8285 §4.2).
pub const ONE_BYTE_PROFILE: u16 = 0xBEDE;
/// Profile of a block whose elements have two-byte headers; the low four bits are free (RFC 8285 §4.3).
pub const TWO_BYTE_PROFILE: u16 = 0x1000;

/// The extension block of one packet, undecoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionBlock<'a> {
    /// "Defined by profile" word.
    pub profile: u16,
    /// The elements, a multiple of four bytes.
    pub data: &'a [u8],
}

impl<'a> ExtensionBlock<'a> {
    /// The elements as (id, value). An unknown profile has none; a malformed element ends the iteration.
    #[inline]
    pub fn iter(&self) -> Elements<'a> {
        let form = match self.profile {
            ONE_BYTE_PROFILE => Form::OneByte,
            profile if profile & 0xfff0 == TWO_BYTE_PROFILE => Form::TwoByte,
            _ => Form::Unknown,
        };
        Elements { rest: self.data, form }
    }

    /// The value of the first element with this id.
    #[inline]
    pub fn find(&self, id: u8) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == id).map(|(_, value)| value)
    }
}

impl<'a> IntoIterator for &ExtensionBlock<'a> {
    type Item = (u8, &'a [u8]);
    type IntoIter = Elements<'a>;

    fn into_iter(self) -> Elements<'a> {
        self.iter()
    }
}

/// Iterator over the elements of a block.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a [u8],
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    OneByte,
    TwoByte,
    Unknown,
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let found = match self.form {
            Form::OneByte => next_one_byte(self.rest),
            Form::TwoByte => next_two_byte(self.rest),
            Form::Unknown => None,
        };
        let Some((id, value, rest)) = found else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some((id, value))
    }
}

type Element<'a> = (u8, &'a [u8], &'a [u8]);

#[inline]
fn next_one_byte(mut rest: &[u8]) -> Option<Element<'_>> {
    loop {
        let (&header, after) = rest.split_first()?;
        if header == 0 {
            rest = after;
            continue;
        }
        // RFC 8285 §4.2: id 15, and id 0 with a length, end the block.
        let id = header >> 4;
        if id == 0 || id == 15 {
            return None;
        }
        let (value, rest) = after.split_at_checked(usize::from(header & 0x0f) + 1)?;
        return Some((id, value, rest));
    }
}

#[inline]
fn next_two_byte(mut rest: &[u8]) -> Option<Element<'_>> {
    loop {
        let (&id, after) = rest.split_first()?;
        if id == 0 {
            rest = after;
            continue;
        }
        let (&len, after) = after.split_first()?;
        let (value, rest) = after.split_at_checked(usize::from(len))?;
        return Some((id, value, rest));
    }
}
