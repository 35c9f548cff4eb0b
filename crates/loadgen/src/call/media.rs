//! The media that publishers replay: a directory with `media.json` and one file of RTP payloads for each stream. `bench/calls` makes it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::Deserialize;

/// Why media cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaError {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    Description { path: PathBuf, error: serde_json::Error },
    #[error("{}: {reason}", path.display())]
    Stream { path: PathBuf, reason: Malformed },
    #[error("media.json has no {codec:?}")]
    NoSuchCodec { codec: String },
}

/// What is wrong with a file of payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it does not begin with BEEPRTP1")]
    Magic,
    #[error("a record is cut short")]
    Truncated,
    #[error("it has no packets")]
    Empty,
    #[error("it does not begin with a keyframe")]
    NoKeyframe,
    #[error("timestamps go back")]
    Order,
    #[error("a payload is empty or above 1200 bytes")]
    PayloadSize,
}

/// One packet, in front of its RTP header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    /// In units of the clock rate, from the start of the loop.
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// The Dependency Descriptor, or nothing.
    pub(crate) extension: Box<[u8]>,
    pub(crate) payload: Box<[u8]>,
}

/// One RTP stream, to be played in a loop.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) rid: Option<String>,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bps: u32,
    pub(crate) packets: Vec<Packet>,
}

/// All streams of one codec, lowest first.
#[derive(Debug)]
pub(crate) struct Codec {
    /// Key in `media.json`, as signalling has it: "vp8".
    pub(crate) name: String,
    pub(crate) clock_rate: u32,
    /// Of a loop, in units of the clock rate.
    pub(crate) duration: u32,
    pub(crate) streams: Vec<Rc<Stream>>,
}

/// Files that were read once, for all who play them.
pub(crate) struct Library {
    directory: PathBuf,
    descriptions: BTreeMap<String, CodecDescription>,
    codecs: BTreeMap<String, Rc<Codec>>,
}

impl Library {
    pub(crate) fn open(directory: &Path) -> Result<Self, MediaError> {
        let path = directory.join("media.json");
        let descriptions = serde_json::from_slice(&read(&path)?);
        let descriptions = descriptions.map_err(|error| MediaError::Description { path, error })?;
        Ok(Self { directory: directory.to_owned(), descriptions, codecs: BTreeMap::new() })
    }

    /// The streams of a codec, by its key in `media.json`.
    pub(crate) fn codec(&mut self, name: &str) -> Result<Rc<Codec>, MediaError> {
        if let Some(codec) = self.codecs.get(name) {
            return Ok(Rc::clone(codec));
        }
        let missing = || MediaError::NoSuchCodec { codec: name.to_owned() };
        let description = self.descriptions.get(name).ok_or_else(missing)?;
        let streams = description.streams.iter().map(|stream| stream.read(&self.directory).map(Rc::new));
        let codec = Rc::new(Codec {
            name: name.to_owned(),
            clock_rate: description.clock_rate.max(1),
            duration: description.duration.max(1),
            streams: streams.collect::<Result<_, _>>()?,
        });
        self.codecs.insert(name.to_owned(), Rc::clone(&codec));
        Ok(codec)
    }
}

#[derive(Deserialize)]
struct CodecDescription {
    clock_rate: u32,
    duration: u32,
    streams: Vec<StreamDescription>,
}

#[derive(Deserialize)]
struct StreamDescription {
    file: PathBuf,
    #[serde(default)]
    rid: Option<String>,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    bps: u32,
}

impl StreamDescription {
    fn read(&self, directory: &Path) -> Result<Stream, MediaError> {
        let path = directory.join(&self.file);
        let packets = parse(&read(&path)?).map_err(|reason| MediaError::Stream { path, reason })?;
        Ok(Stream { rid: self.rid.clone(), width: self.width, height: self.height, bps: self.bps, packets })
    }
}

/// Takes a file apart: a magic, then records of timestamp, flags, two lengths, extension and payload, big endian.
pub(crate) fn parse(file: &[u8]) -> Result<Vec<Packet>, Malformed> {
    let mut rest = file.strip_prefix(MAGIC).ok_or(Malformed::Magic)?;
    let mut packets: Vec<Packet> = Vec::new();
    while !rest.is_empty() {
        let (packet, flags, after) = parse_record(rest)?;
        match packets.last() {
            None if flags & KEYFRAME == 0 => return Err(Malformed::NoKeyframe),
            Some(last) if last.timestamp > packet.timestamp => return Err(Malformed::Order),
            _ => packets.push(packet),
        }
        rest = after;
    }
    if packets.is_empty() { Err(Malformed::Empty) } else { Ok(packets) }
}

fn parse_record(bytes: &[u8]) -> Result<(Packet, u8, &[u8]), Malformed> {
    let (head, rest) = bytes.split_first_chunk::<8>().ok_or(Malformed::Truncated)?;
    let [t0, t1, t2, t3, flags, extension_len, p0, p1] = *head;
    let payload_len = usize::from(u16::from_be_bytes([p0, p1]));
    if payload_len == 0 || payload_len > MAX_PAYLOAD_BYTES {
        return Err(Malformed::PayloadSize);
    }
    let (extension, rest) = rest.split_at_checked(extension_len.into()).ok_or(Malformed::Truncated)?;
    let (payload, rest) = rest.split_at_checked(payload_len).ok_or(Malformed::Truncated)?;
    let packet = Packet {
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        marker: flags & MARKER != 0,
        extension: extension.into(),
        payload: payload.into(),
    };
    Ok((packet, flags, rest))
}

fn read(path: &Path) -> Result<Vec<u8>, MediaError> {
    std::fs::read(path).map_err(|error| MediaError::Unreadable { path: path.to_owned(), error })
}

const MAGIC: &[u8] = b"BEEPRTP1";
const MARKER: u8 = 1;
const KEYFRAME: u8 = 2;
/// With headers and tag, what fits into a datagram everywhere.
const MAX_PAYLOAD_BYTES: usize = 1_200;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(timestamp: u32, flags: u8, extension: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut bytes = timestamp.to_be_bytes().to_vec();
        bytes.extend([flags, extension.len() as u8]);
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend_from_slice(extension);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn file(records: &[Vec<u8>]) -> Vec<u8> {
        [MAGIC.to_vec(), records.concat()].concat()
    }

    #[test]
    fn packets_are_read_in_order() {
        let packets = parse(&file(&[record(0, 2, b"dd", b"first"), record(3_000, 1, b"", b"second")]));
        let expected = [
            Packet { timestamp: 0, marker: false, extension: (*b"dd").into(), payload: (*b"first").into() },
            Packet { timestamp: 3_000, marker: true, extension: [].into(), payload: (*b"second").into() },
        ];
        assert_eq!(packets.as_deref(), Ok(&expected[..]));
    }

    #[test]
    fn bad_files_are_refused() {
        let good = record(0, 2, b"dd", b"payload");
        let cases = [
            (b"BEEPRTP2".to_vec(), Malformed::Magic),
            (Vec::new(), Malformed::Magic),
            (file(&[]), Malformed::Empty),
            (file(&[record(0, 1, b"", b"x")]), Malformed::NoKeyframe),
            (file(&[record(9, 2, b"", b"x"), record(8, 0, b"", b"x")]), Malformed::Order),
            (file(&[record(0, 2, b"", b"")]), Malformed::PayloadSize),
            (file(&[record(0, 2, b"", &[0; 1_201])]), Malformed::PayloadSize),
        ];
        for (bytes, expected) in cases {
            assert_eq!(parse(&bytes), Err(expected));
        }
        for len in 1..good.len() {
            assert_eq!(parse(&file(&[good[..len].to_vec()])), Err(Malformed::Truncated), "{len}");
        }
    }
}
