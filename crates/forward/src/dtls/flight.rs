//! Retransmission of the last handshake flight: OpenSSL's own timer is one second of real time and cannot be reached.
//!
//! A flight is sent again, byte for byte, when the peer repeats a message that it answers, or when our timer runs out.

use std::time::{Duration, Instant};

use super::record::{ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, Record, records};

/// The last flight and what it answers.
#[derive(Default)]
pub(super) struct Flight {
    datagrams: Vec<Vec<u8>>,
    /// Content type and message number of its first record: tells a new flight from OpenSSL's own repetition.
    key: Option<(u8, Option<u16>)>,
    /// Highest message number received so far.
    received: Option<u16>,
    /// Highest message number that the flight answers.
    answered: Option<u16>,
    sent: Option<Instant>,
    retry: Option<(Instant, Duration)>,
}

/// What to do with a record of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inbound {
    Fresh,
    /// Answered already: the peer may not have our flight.
    Repeated,
}

impl Flight {
    /// Judges a record before it reaches OpenSSL.
    pub(super) fn judge(&mut self, record: &Record<'_>, connected: bool) -> Inbound {
        if connected && matches!(record.content, HANDSHAKE | CHANGE_CIPHER_SPEC) {
            return Inbound::Repeated;
        }
        let Some(message) = record.message_seq() else {
            return Inbound::Fresh;
        };
        if self.answered.is_some_and(|answered| message <= answered) {
            return Inbound::Repeated;
        }
        self.received = self.received.max(Some(message));
        Inbound::Fresh
    }

    /// Takes what OpenSSL wrote during the handshake; gives what of it is to be sent now.
    pub(super) fn replace(&mut self, now: Instant, datagrams: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let Some(first) = datagrams.first().and_then(|datagram| records(datagram).next()) else {
            return Vec::new();
        };
        let key = Some((first.content, first.message_seq()));
        if first.content == ALERT {
            return datagrams;
        }
        if self.key == key {
            return Vec::new();
        }
        self.key = key;
        self.answered = self.received;
        self.sent = Some(now);
        self.retry = Some((now + FIRST_RETRY, FIRST_RETRY));
        self.datagrams.clone_from(&datagrams);
        datagrams
    }

    /// The peer repeated itself: the flight again, unless it was sent a moment ago.
    pub(super) fn repeat(&mut self, now: Instant) -> &[Vec<u8>] {
        if self.sent.is_none_or(|sent| now.saturating_duration_since(sent) < REPEAT_PAUSE) {
            return &[];
        }
        self.sent = Some(now);
        &self.datagrams
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry.map(|(at, _)| at)
    }

    /// The flight again when its time has come, with a doubled pause.
    pub(super) fn retry(&mut self, now: Instant) -> &[Vec<u8>] {
        match self.retry {
            Some((at, pause)) if at <= now => {
                let pause = (pause * 2).min(LONGEST_RETRY);
                self.retry = Some((now + pause, pause));
                self.sent = Some(now);
                &self.datagrams
            }
            _ => &[],
        }
    }

    /// The handshake is over: only repetitions of the peer bring the last flight out again.
    pub(super) fn stop_retrying(&mut self) {
        self.retry = None;
    }
}

// libwebrtc starts at 50 ms on the client side; 100 ms leaves room for one round trip across an ocean and a slow phone.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_millis(1_600);
// A repeated flight of the peer may come in several datagrams: they get one answer.
const REPEAT_PAUSE: Duration = Duration::from_millis(30);
