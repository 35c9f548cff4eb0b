//! Data of participant 0 to everybody else: messages at a rate, and one long stream of packets, as LiveKit's clients send both.

use std::time::Duration;

use prost::Message as _;
use serde::Deserialize;

use super::load::MeasureRequest;
use super::messages::{ByteStreamHeader, DataPacket, DataValue, StreamChunk, StreamHeader, StreamTrailer, UserPacket};
use super::stamp::{self, Flow, Layer, Stamp};

/// Messages at a rate.
#[derive(Deserialize)]
pub(crate) struct DataRequest {
    /// Bytes of a message.
    pub(crate) size: usize,
    pub(crate) rate_per_s: f64,
    pub(crate) reliable: bool,
    #[serde(flatten)]
    pub(crate) measure: MeasureRequest,
}

/// One stream, as long as it takes.
#[derive(Deserialize)]
pub(crate) struct StreamRequest {
    pub(crate) bytes: usize,
    #[serde(flatten)]
    pub(crate) measure: MeasureRequest,
}

/// A channel that every client opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Lossy,
    Reliable,
}

impl Channel {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Lossy => "_lossy",
            Self::Reliable => "_reliable",
        }
    }
}

/// Packets of one sender, numbered as receivers need it on the reliable channel.
#[derive(Debug, Default)]
pub(crate) struct Sequence(u32);

impl Sequence {
    fn packet(&mut self, channel: Channel, value: DataValue) -> Vec<u8> {
        let sequence = match channel {
            Channel::Lossy => 0,
            Channel::Reliable => {
                self.0 += 1;
                self.0
            }
        };
        DataPacket { sequence, value: Some(value) }.encode_to_vec()
    }

    /// A message of `size` bytes, which has room for a stamp in any case.
    pub(crate) fn message(&mut self, channel: Channel, size: usize, run: u32, number: u32, at: Duration) -> Vec<u8> {
        let mut payload = vec![0; size.max(stamp::MIN_PAYLOAD_BYTES)];
        Stamp { flow: Flow::new(run, Layer::Audio), number, at }.write(&mut payload);
        self.packet(channel, DataValue::User(UserPacket { payload, topic: Some(TOPIC.to_owned()) }))
    }

    /// The packets of a stream of `bytes` bytes: a header, chunks, a trailer.
    pub(crate) fn stream(&mut self, bytes: usize, run: u32) -> impl Iterator<Item = Vec<u8>> {
        let stream_id = format!("bench-{run}");
        let header = StreamHeader {
            stream_id: stream_id.clone(),
            topic: TOPIC.to_owned(),
            mime_type: "application/octet-stream".to_owned(),
            total_length: Some(bytes as u64),
            byte_header: Some(ByteStreamHeader { name: TOPIC.to_owned() }),
        };
        let (id, chunks) = (stream_id.clone(), bytes.div_ceil(CHUNK_BYTES));
        let chunks = (0..chunks).map(move |index| {
            let content = vec![0; CHUNK_BYTES.min(bytes - index * CHUNK_BYTES)];
            DataValue::StreamChunk(StreamChunk { stream_id: id.clone(), chunk_index: index as u64, content })
        });
        let trailer = DataValue::StreamTrailer(StreamTrailer { stream_id });
        let values = std::iter::once(DataValue::StreamHeader(header)).chain(chunks).chain([trailer]);
        values.map(|value| self.packet(Channel::Reliable, value))
    }
}

const TOPIC: &str = "bench";
/// What LiveKit's clients put into a packet.
const CHUNK_BYTES: usize = 15_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(packet: &[u8]) -> DataPacket {
        DataPacket::decode(packet).expect("a data packet")
    }

    #[test]
    fn messages_have_their_size_and_a_stamp() {
        let packet = Sequence::default().message(Channel::Lossy, 200, 3, 7, Duration::from_millis(1));
        let DataPacket { sequence: 0, value: Some(DataValue::User(user)) } = decode(&packet) else {
            panic!("a user packet without number");
        };
        let stamp = Stamp::read(&user.payload).expect("a stamp");
        assert_eq!((user.payload.len(), stamp.flow.participant(), stamp.number), (200, 3, 7));
    }

    #[test]
    fn reliable_packets_are_numbered_from_one() {
        let mut sequence = Sequence::default();
        let mut message = || decode(&sequence.message(Channel::Reliable, 10, 1, 0, Duration::ZERO)).sequence;
        assert_eq!([message(), message(), message()], [1, 2, 3]);
        let numbers: Vec<u32> = sequence.stream(1, 1).map(|packet| decode(&packet).sequence).collect();
        assert_eq!(numbers, [4, 5, 6]);
    }

    #[test]
    fn a_stream_is_cut_into_chunks() {
        let mut sequence = Sequence::default();
        let sizes: Vec<usize> = sequence
            .stream(CHUNK_BYTES * 2 + 10, 1)
            .filter_map(|packet| match decode(&packet).value {
                Some(DataValue::StreamChunk(chunk)) => Some(chunk.content.len()),
                _ => None,
            })
            .collect();
        assert_eq!(sizes, [CHUNK_BYTES, CHUNK_BYTES, 10]);
    }
}
