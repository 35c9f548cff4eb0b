//! Retransmission of the last handshake flight: OpenSSL's own timer is one second of real time and cannot be reached.
//!
//! A flight is sent again, byte for byte, when the peer repeats a message that it answers, or when our timer runs out.
//! What OpenSSL repeats by its own timer is dropped: after a stall it comes in one piece with the next flight.

use std::time::{Duration, Instant};

use super::record::{ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, Record, pack, records};

/// The last flight and what it answers.
#[derive(Default)]
pub(super) struct Flight {
    datagrams: Vec<Vec<u8>>,
    written: Option<Progress>,
    /// Highest message number received so far.
    received: Option<u16>,
    /// Highest message number that the flight answers.
    answered: Option<u16>,
    sent: Option<Instant>,
    retry: Option<(Instant, Duration)>,
}

/// How much of our side of the handshake has been written: a repetition never gets beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// Up to this byte of the message with this number.
    Message(u16, u32),
    Cipher,
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

    /// Takes what OpenSSL wrote during the handshake; gives the datagrams that are to be sent now.
    pub(super) fn replace(&mut self, now: Instant, written: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        let fresh = self.fresh(written);
        let datagrams = pack(&fresh, mtu);
        if records(&fresh).all(|record| record.content == ALERT) {
            return datagrams;
        }
        self.answered = self.received;
        self.sent = Some(now);
        self.retry = Some((now + FIRST_RETRY, FIRST_RETRY));
        self.datagrams.clone_from(&datagrams);
        datagrams
    }

    /// The records without OpenSSL's own repetitions, which may be cut into other fragments than the first time.
    fn fresh(&mut self, written: &[u8]) -> Vec<u8> {
        let (mut fresh, mut is_fresh) = (Vec::new(), true);
        for record in records(written) {
            let progress = match record.content {
                CHANGE_CIPHER_SPEC => Some(Progress::Cipher),
                _ => record.fragment_end().map(|(message, end)| Progress::Message(message, end)),
            };
            // What is encrypted cannot be read: it belongs to the change of cipher before it.
            if progress.is_some() {
                is_fresh = progress > self.written;
                self.written = self.written.max(progress);
            }
            if is_fresh || record.content == ALERT {
                fresh.extend_from_slice(record.bytes);
            }
        }
        fresh
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

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: usize = 1_200;

    fn record(content: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        [&[content, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0, 0, body.len() as u8][..], body].concat()
    }

    /// Bytes `from..to` of message `number`.
    fn fragment(number: u8, from: u8, to: u8) -> Vec<u8> {
        let mut body = vec![2, 0, 0, 90, 0, number, 0, 0, from, 0, 0, to - from];
        body.resize(12 + usize::from(to - from), number);
        record(HANDSHAKE, 0, &body)
    }

    fn finished() -> Vec<u8> {
        [record(CHANGE_CIPHER_SPEC, 0, &[1]), record(HANDSHAKE, 1, &[7; 40])].concat()
    }

    fn replace(flight: &mut Flight, written: &[u8]) -> Vec<u8> {
        flight.replace(Instant::now(), written, MTU).concat()
    }

    #[test]
    fn a_repetition_is_dropped_however_it_is_cut() {
        let mut flight = Flight::default();
        let first = [fragment(0, 0, 90), fragment(1, 0, 50), fragment(1, 50, 90), fragment(2, 0, 0)].concat();
        assert_eq!(replace(&mut flight, &first), first);
        for again in [first.clone(), [fragment(0, 0, 30), fragment(0, 30, 90), fragment(1, 0, 90)].concat()] {
            assert!(replace(&mut flight, &again).is_empty());
        }
        assert_eq!(flight.datagrams.concat(), first, "kept for our own retries");
    }

    #[test]
    fn the_flight_behind_a_repetition_is_sent_alone() {
        let mut flight = Flight::default();
        let first = fragment(0, 0, 90);
        replace(&mut flight, &first);
        let next = [fragment(1, 0, 90), fragment(2, 0, 90), finished()].concat();
        assert_eq!(replace(&mut flight, &[first, next.clone()].concat()), next);
        assert!(replace(&mut flight, &next).is_empty());
        assert_eq!(flight.datagrams.concat(), next);
    }

    #[test]
    fn a_flight_repeated_in_the_same_breath_is_sent_once() {
        let mut flight = Flight::default();
        let written = [fragment(0, 0, 90), finished()].concat();
        assert_eq!(replace(&mut flight, &written.repeat(2)), written);
    }

    #[test]
    fn an_alert_behind_a_repetition_is_sent_but_not_kept() {
        let mut flight = Flight::default();
        let (first, alert) = (fragment(0, 0, 90), record(ALERT, 0, &[2, 42]));
        replace(&mut flight, &first);
        assert_eq!(replace(&mut flight, &[first.clone(), alert.clone()].concat()), alert);
        assert_eq!(flight.datagrams.concat(), first);
    }
}
