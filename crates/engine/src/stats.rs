//! What a shard counts besides its forwarder, and the batch of numbers that it posts once a second.

use std::time::Duration;

use forward::{Counters, LatencyHistogram};
use netio::{Receiver, SendQueue, UdpSocket};

/// Cumulative numbers of one shard.
#[derive(Debug, Clone, Default)]
pub struct ShardStats {
    /// Dotted name and value, in a fixed order.
    pub counters: Vec<(&'static str, u64)>,
    /// From the kernel's receive time of a packet until everything that was sent for its batch is with the kernel.
    pub forward_latency: LatencyHistogram,
}

/// What the loop itself counts.
#[derive(Default)]
pub(crate) struct LoopCounters {
    pub(crate) turns: u64,
    pub(crate) receive_calls: u64,
    pub(crate) receive_errors: u64,
    pub(crate) crowded_turns: u64,
    /// Batches handed to other shards, and packets that were dropped because one was behind.
    pub(crate) pipe_batches: u64,
    pub(crate) pipe_full: u64,
    pub(crate) forward_latency: LatencyHistogram,
}

impl ShardStats {
    pub(crate) fn collect(
        forwarder: &Counters,
        counters: &LoopCounters,
        busy: Duration,
        sockets: &[UdpSocket],
        receiver: &Receiver,
        queue: &SendQueue,
        overloaded: u64,
    ) -> Self {
        let mut all = Vec::with_capacity(128);
        forwarder.visit(|name, value| all.push((name, value)));
        let sent = queue.counters();
        all.extend([
            ("drop.overloaded", overloaded),
            ("shard.turns", counters.turns),
            ("shard.busy_us", busy.as_micros() as u64),
            ("shard.crowded_turns", counters.crowded_turns),
            ("pipe.batches_out", counters.pipe_batches),
            ("drop.pipe_full", counters.pipe_full),
            ("udp.receive_calls", counters.receive_calls),
            ("udp.receive_errors", counters.receive_errors),
            ("udp.truncated", receiver.truncated()),
            ("udp.kernel_drops", sockets.iter().map(UdpSocket::kernel_drops).sum()),
            ("udp.receive_buffer_bytes", sockets.iter().map(UdpSocket::receive_buffer_bytes).sum()),
            ("udp.sent", sent.datagrams),
            ("udp.sent_bytes", sent.bytes),
            ("udp.send_messages", sent.messages),
            ("udp.send_calls", sent.calls),
            ("udp.send_errors", sent.errors),
            ("udp.send_overflow", sent.overflow),
            ("udp.gso_fallbacks", sent.fallbacks),
        ]);
        Self { counters: all, forward_latency: counters.forward_latency.clone() }
    }
}
