//! TURN `ChannelData` messages (RFC 8656 §12.4).

use crate::ParseError;
use crate::bytes::u16_at;

/// Bytes in front of the application data.
pub const HEADER_LEN: usize = 4;

/// The channel number and the application data. Bytes behind the data are TCP's padding or junk that the RFC tells to ignore.
#[inline]
pub fn parse(message: &[u8]) -> Result<(u16, &[u8]), ParseError> {
    let channel = u16_at(message, 0)?;
    if !CHANNELS.contains(&channel) {
        return Err(ParseError::Protocol);
    }
    let len = usize::from(u16_at(message, 2)?);
    let data = message.get(HEADER_LEN..HEADER_LEN + len).ok_or(ParseError::Truncated)?;
    Ok((channel, data))
}

/// Writes a message without padding, as UDP wants it; `None` when it does not fit or `channel` is not a channel number.
#[inline]
pub fn write(buf: &mut [u8], channel: u16, data: &[u8]) -> Option<usize> {
    let len = u16::try_from(data.len()).ok()?;
    if !CHANNELS.contains(&channel) {
        return None;
    }
    let message = buf.get_mut(..HEADER_LEN + data.len())?;
    message[..2].copy_from_slice(&channel.to_be_bytes());
    message[2..4].copy_from_slice(&len.to_be_bytes());
    message[4..].copy_from_slice(data);
    Some(message.len())
}

/// RFC 5766 §11: older clients bind numbers beyond 0x4fff, where RFC 8656 §12 ends. 0x7fff is reserved in both.
pub const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7ffe;
