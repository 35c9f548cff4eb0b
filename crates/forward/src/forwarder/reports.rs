//! What each transport's media goes through, told every two seconds: round trip and loss in both directions.

use std::time::{Duration, Instant};

use super::Forwarder;
use super::entry::TransportEntry;
use crate::consumer::Consumer;
use crate::producer::Producer;
use crate::report::Tally;
use crate::{Event, TransportReport};
use slots::Slab;

impl Forwarder {
    /// A transport connected: there will be something to report.
    pub(super) fn start_transport_reports(&mut self, now: Instant) {
        self.reports_due.get_or_insert(now + INTERVAL);
    }

    /// Reports about every connected transport that carried media, if it is time.
    pub(super) fn report_transports(&mut self, now: Instant) {
        if self.reports_due.is_none_or(|due| due > now) {
            return;
        }
        self.reports_due = None;
        let mut reports = Vec::new();
        for entry in self.transports.iter_mut().filter(|entry| entry.connected) {
            self.reports_due = Some(now + INTERVAL);
            let inbound = take_inbound(entry, &mut self.producers);
            let (outbound, sent) = take_outbound(entry, &mut self.consumers);
            if sent || inbound.expected > 0 || outbound.expected > 0 {
                reports.push(TransportReport {
                    transport: entry.id,
                    rtt_ms: entry.round_trip().map(|round_trip| round_trip.as_millis() as u32),
                    inbound_expected: inbound.expected,
                    inbound_lost: inbound.lost,
                    outbound_expected: outbound.expected,
                    outbound_lost: outbound.lost,
                });
            }
        }
        if !reports.is_empty() {
            self.events.push_back(Event::TransportReports { reports });
        }
    }
}

fn take_inbound(entry: &TransportEntry, producers: &mut Slab<Producer>) -> Tally {
    let mut sum = Tally::default();
    for at in &entry.producers {
        for encoding in producers.get_mut(*at).into_iter().flat_map(|producer| &mut producer.encodings) {
            sum.add(encoding.stats.tally.take());
        }
    }
    sum
}

/// And whether anything was sent, which a client that is gone does not report.
fn take_outbound(entry: &TransportEntry, consumers: &mut Slab<Consumer>) -> (Tally, bool) {
    let (mut sum, mut sent) = (Tally::default(), false);
    for at in &entry.consumers {
        let Some(consumer) = consumers.get_mut(*at) else { continue };
        sum.add(consumer.reception.tally.take());
        sent |= std::mem::replace(&mut consumer.sent_at_report, consumer.sent_packets) != consumer.sent_packets;
    }
    (sum, sent)
}

/// Two receiver reports of the usual second.
const INTERVAL: Duration = Duration::from_secs(2);
