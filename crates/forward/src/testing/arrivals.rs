//! What a client notes of what it receives, for the congestion control of the server (transport-wide feedback).

use std::time::Instant;

use wire::Ssrc;

use crate::twcc::Recorder;

/// Arrivals on one client's connection, waiting to be reported.
#[derive(Default)]
pub struct Arrivals {
    recorder: Recorder,
    started: Option<Instant>,
}

impl Arrivals {
    /// A packet with this transport-wide number came at `received`; it is noted at `now`.
    pub fn handle_arrival(&mut self, now: Instant, received: Instant, number: u16, media: Ssrc) {
        let started = *self.started.get_or_insert(received);
        let received_us = received.saturating_duration_since(started).as_micros() as u64;
        self.recorder.record(now, received_us, number, media);
    }

    /// When feedback is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.recorder.poll_timeout()
    }

    /// Writes one feedback packet if it is due; call again until `None`.
    pub fn poll_feedback(&mut self, now: Instant, sender: Ssrc, buf: &mut [u8]) -> Option<usize> {
        self.recorder.poll_feedback(now, sender, buf)
    }
}
