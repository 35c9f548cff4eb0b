//! What happened to connections and their messages.

use super::End;

/// Cumulative.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) accepted: u64,
    pub(super) accept_errors: u64,
    pub(super) refused_address: u64,
    pub(super) refused_total: u64,
    pub(super) received: u64,
    pub(super) received_bytes: u64,
    pub(super) sent: u64,
    pub(super) sent_bytes: u64,
    pub(super) dropped: u64,
    closed: u64,
    evicted: u64,
    late: u64,
    not_turn: u64,
    tls_failed: u64,
    stalled: u64,
}

impl Counters {
    pub(super) fn count(&mut self, end: End) {
        *match end {
            End::Closed | End::Asked => &mut self.closed,
            End::Evicted => &mut self.evicted,
            End::Late => &mut self.late,
            End::NotTurn => &mut self.not_turn,
            End::Tls => &mut self.tls_failed,
            End::Stalled => &mut self.stalled,
        } += 1;
    }

    pub(super) fn visit(&self, f: &mut dyn FnMut(&'static str, u64)) {
        f("turn.stream_accepted", self.accepted);
        f("turn.stream_accept_errors", self.accept_errors);
        f("turn.stream_refused_address", self.refused_address);
        f("turn.stream_refused_total", self.refused_total);
        f("turn.stream_closed", self.closed);
        f("turn.stream_closed_evicted", self.evicted);
        f("turn.stream_closed_late", self.late);
        f("turn.stream_closed_not_turn", self.not_turn);
        f("turn.stream_closed_tls", self.tls_failed);
        f("turn.stream_closed_stalled", self.stalled);
        f("turn.stream_received", self.received);
        f("turn.stream_received_bytes", self.received_bytes);
        f("turn.stream_sent", self.sent);
        f("turn.stream_sent_bytes", self.sent_bytes);
        f("turn.stream_dropped", self.dropped);
    }
}
