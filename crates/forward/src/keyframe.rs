//! Requests for keyframes of one encoding, shared by everybody who wants one (RFC 4585 section 6.3.1, RFC 5104 section 4.3.1).

use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct KeyframeRequests {
    /// When the last request went out, and whether a keyframe has answered it.
    sent_at: Option<Instant>,
    outstanding: bool,
    /// Somebody wants one that no request asks for yet.
    wanted: bool,
}

impl KeyframeRequests {
    /// A decoder lost its picture, or somebody joined. True when a request should go out now; else `poll_timeout` says when.
    ///
    /// A joiner (`urgent`) is not throttled by requests that were answered before it came.
    pub(crate) fn request(&mut self, now: Instant, urgent: bool) -> bool {
        let spacing = if urgent && !self.outstanding { URGENT_SPACING } else { SPACING };
        if self.sent_at.is_some_and(|sent_at| now < sent_at + spacing) {
            self.wanted = true;
            return false;
        }
        self.send(now);
        true
    }

    /// A keyframe began.
    pub(crate) fn handle_keyframe(&mut self) {
        self.outstanding = false;
        self.wanted = false;
    }

    /// When to look again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.sent_at.filter(|_| self.outstanding || self.wanted).map(|sent_at| sent_at + SPACING)
    }

    /// Whether to ask (again) now. `waiting`: somebody still waits for the answer to the last request.
    pub(crate) fn handle_timeout(&mut self, now: Instant, waiting: bool) -> bool {
        if self.poll_timeout().is_none_or(|due| due > now) {
            return false;
        }
        if !self.wanted && !waiting {
            self.outstanding = false;
            return false;
        }
        self.send(now);
        true
    }

    fn send(&mut self, now: Instant) {
        self.sent_at = Some(now);
        self.outstanding = true;
        self.wanted = false;
    }
}

/// How often one consumer may ask: everybody pays for the answer. What is held back is not kept; who needs it asks again.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: u8,
    /// Since when the next one accrues.
    since: Option<Instant>,
    admitted_at: Option<Instant>,
}

impl Allowance {
    /// Whether a request counts.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let accrued = now.saturating_duration_since(since).as_millis() / ALLOWANCE_SPACING.as_millis();
        if accrued > 0 {
            self.left = (u128::from(self.left) + accrued).min(ALLOWANCE.into()) as u8;
            self.since = Some(now);
        }
        // Impatience: the answer to the last one is on its way.
        if self.left == 0 || self.admitted_at.is_some_and(|last| now < last + SPACING) {
            return false;
        }
        self.left -= 1;
        self.admitted_at = Some(now);
        true
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: ALLOWANCE, since: None, admitted_at: None }
    }
}

// A keyframe costs as much as seconds of video; twice a second is what decoders and encoders are used to.
const SPACING: Duration = Duration::from_millis(500);
// A burst for a bad moment; then one in two seconds, which an encoder and the other subscribers bear.
const ALLOWANCE: u8 = 5;
const ALLOWANCE_SPACING: Duration = Duration::from_secs(2);
// Joiners that come within this share the keyframe of the first one: it is still in the ring.
const URGENT_SPACING: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn many_requests_become_two_a_second() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        let mut sent = 0;
        for t in 0..2_000 {
            let now = start + ms(t);
            sent += u32::from(requests.request(now, false));
            sent += u32::from(requests.handle_timeout(now, false));
        }
        assert_eq!(sent, 4);
    }

    #[test]
    fn a_joiner_is_not_throttled_by_what_was_answered_before() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        assert!(requests.request(start, true));
        assert!(!requests.request(start + ms(20), true));
        requests.handle_keyframe();
        assert!(requests.request(start + ms(120), true));
        requests.handle_keyframe();
        assert!(!requests.request(start + ms(240), false));
    }

    #[test]
    fn an_unanswered_request_is_repeated_while_somebody_waits() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        assert!(requests.request(start, true));
        assert_eq!(requests.poll_timeout(), Some(start + ms(500)));
        assert!(requests.handle_timeout(start + ms(500), true));
        requests.handle_keyframe();
        assert_eq!(requests.poll_timeout(), None);
        assert!(!requests.handle_timeout(start + ms(1_000), true));
    }

    #[test]
    fn nobody_waiting_ends_the_repetition() {
        let start = Instant::now();
        let mut requests = KeyframeRequests::default();
        assert!(requests.request(start, true));
        assert!(!requests.handle_timeout(start + ms(500), false));
        assert_eq!(requests.poll_timeout(), None);
    }
}
