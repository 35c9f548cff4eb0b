//! What all participants together sent, received and measured. Sums since the start: the difference of two readings is a window's.

use std::time::{Duration, Instant};

use super::latency::Latencies;
use super::messages::DataValue;
use super::sequence::Counts;
use super::stamp::{Flow, Layer, Stamp};

/// The sums, and the latencies since they were last taken.
pub(crate) struct Meter {
    /// What stamps count from.
    epoch: Instant,
    pub(crate) sums: Sums,
    pub(crate) latencies: Latencies,
    pub(crate) data: Data,
}

/// What came over data channels of the run that is on.
#[derive(Default)]
pub(crate) struct Data {
    /// Messages of other runs are not counted.
    pub(crate) run: u32,
    pub(crate) messages: u64,
    pub(crate) latencies: Latencies,
}

/// One reading.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sums {
    /// RTP packets of publishers, without what they sent again.
    pub(crate) sent: u64,
    pub(crate) counts: Counts,
    /// Of the datagrams that carried RTP, retransmissions and all.
    pub(crate) bytes: u64,
    /// Packets of retransmission streams: repairs and probes.
    pub(crate) rtx: u64,
    /// Packets of streams that no description told of.
    pub(crate) unknown: u64,
    /// Packets with another publisher's stamp than their stream's.
    pub(crate) astray: u64,
    /// Packets whose authentication tag or replay check failed.
    pub(crate) unauthentic: u64,
    pub(crate) keyframe_requests_sent: u64,
    pub(crate) keyframe_requests_received: u64,
    /// Bytes by `Layer`.
    pub(crate) layers: [u64; 4],
    /// Time spent on something else than looking whether there is something to do.
    pub(crate) worked: Duration,
}

impl Meter {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self { epoch, sums: Sums::default(), latencies: Latencies::default(), data: Data::default() }
    }

    /// The next packet of a flow leaves now.
    pub(crate) fn stamp(&mut self, flow: Flow, number: u32, now: Instant) -> Stamp {
        self.sums.sent += 1;
        Stamp { flow, number, at: self.since_epoch(now) }
    }

    /// A stamped packet came, and was not a repair.
    pub(crate) fn handle_stamp(&mut self, stamp: &Stamp, received: Instant) {
        self.latencies.add(received.saturating_duration_since(self.epoch + stamp.at));
    }

    /// A packet came over a data channel; gives the bytes of the stream that it carries.
    pub(crate) fn handle_data(&mut self, value: &DataValue, received: Instant) -> usize {
        match value {
            DataValue::User(user) => {
                let Some(stamp) = Stamp::read(&user.payload).filter(|stamp| stamp.flow.participant() == self.data.run)
                else {
                    return 0;
                };
                self.data.messages += 1;
                self.data.latencies.add(received.saturating_duration_since(self.epoch + stamp.at));
                0
            }
            DataValue::StreamChunk(chunk) => chunk.content.len(),
            DataValue::StreamHeader(_) | DataValue::StreamTrailer(_) => 0,
        }
    }

    pub(crate) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Time as stamps have it.
    pub(crate) fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    pub(crate) fn handle_bytes(&mut self, layer: Option<Layer>, bytes: usize) {
        self.sums.bytes += bytes as u64;
        if let Some(layer) = layer {
            self.sums.layers[layer as usize] += bytes as u64;
        }
    }
}
