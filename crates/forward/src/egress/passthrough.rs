//! Header extensions that a consumer gets as the publisher sent them, kept without ids: (kind, length, value) one after another.

use wire::ext::{Parsed, Uri, encode_audio_level};

/// Borrowed list of extensions, as the ring stores it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passthrough<'a>(pub(crate) &'a [u8]);

impl<'a> Passthrough<'a> {
    /// Writes what passes through into `buf`.
    pub(crate) fn write(parsed: &Parsed<'_>, buf: &'a mut [u8; MAX_LEN]) -> Self {
        let mut len = 0;
        if let Some((level, voice)) = parsed.audio_level {
            put(buf, &mut len, Uri::AudioLevel, &encode_audio_level(level, voice));
        }
        let values = [
            (Uri::DependencyDescriptor, parsed.dependency_descriptor),
            (Uri::VideoOrientation, parsed.video_orientation),
            (Uri::PlayoutDelay, parsed.playout_delay),
            (Uri::AbsCaptureTime, parsed.abs_capture_time),
        ];
        for (uri, value) in values {
            if let Some(value) = value {
                put(buf, &mut len, uri, value);
            }
        }
        Self(&buf[..len])
    }

    #[inline]
    pub(crate) fn iter(self) -> Extensions<'a> {
        Extensions(self.0)
    }
}

/// Iterator over the extensions of a packet.
pub(crate) struct Extensions<'a>(&'a [u8]);

impl<'a> Iterator for Extensions<'a> {
    type Item = (Uri, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&[kind, len], rest) = self.0.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some((*Uri::ALL.get(usize::from(kind))?, value))
    }
}

fn put(buf: &mut [u8; MAX_LEN], len: &mut usize, uri: Uri, value: &[u8]) {
    let end = *len + 2 + value.len();
    let Ok(value_len) = u8::try_from(value.len()) else { return };
    let Some(room) = buf.get_mut(*len..end) else { return };
    room[0] = uri as u8;
    room[1] = value_len;
    room[2..].copy_from_slice(value);
    *len = end;
}

/// A Dependency Descriptor of 255 bytes and all the others.
pub(crate) const MAX_LEN: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_through_reads_back_in_order() {
        let descriptor = [9; 255];
        let parsed = Parsed {
            audio_level: Some((42, true)),
            dependency_descriptor: Some(&descriptor),
            playout_delay: Some(&[1, 2, 3]),
            mid: Some("0"),
            twcc: Some(1),
            ..Parsed::default()
        };
        let mut buf = [0; MAX_LEN];
        let list: Vec<_> = Passthrough::write(&parsed, &mut buf).iter().collect();
        assert_eq!(
            list,
            [
                (Uri::AudioLevel, &[0xAA][..]),
                (Uri::DependencyDescriptor, &descriptor[..]),
                (Uri::PlayoutDelay, &[1, 2, 3][..]),
            ]
        );
    }
}
