//! A participant's subscriber connection, of either kind.

use std::collections::HashMap;
use std::time::Instant;

use netio::Datagram;

use super::endpoint::Endpoint;
use super::full::Full;
use super::inbound::Inbound;
use super::meter::Meter;
use super::sdp::{self, Offer};
use super::sink::Sink;

pub(crate) enum Subscriber {
    Full(Box<Full>),
    Sink(Box<Sink>),
}

impl Subscriber {
    // ---- in

    /// Answers an offer of the server's.
    pub(crate) fn handle_offer(
        &mut self,
        now: Instant,
        text: &str,
        tracks: &HashMap<String, String>,
        meter: &mut Meter,
    ) -> Result<String, String> {
        let offer = Offer::parse(text).ok_or("the server's offer cannot be read")?;
        match self {
            Self::Full(full) => full.handle_offer(now, &offer, text, tracks, meter),
            Self::Sink(sink) => Ok(sink.handle_offer(now, &offer, tracks, meter)),
        }
    }

    pub(crate) fn handle_candidate(&mut self, now: Instant, candidate: &str, meter: &mut Meter) -> Result<(), String> {
        match self {
            Self::Full(full) => full.handle_candidate(now, candidate, meter)?,
            Self::Sink(sink) => {
                if let Some(address) = sdp::parse_candidate(candidate) {
                    sink.handle_candidate(now, address, meter);
                }
            }
        }
        Ok(())
    }

    /// A datagram from the server; `now` is when it counts as received.
    #[inline]
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &mut Datagram<'_>,
        meter: &mut Meter,
    ) -> Result<(), String> {
        match self {
            Self::Full(full) => full.handle_datagram(now, datagram, meter)?,
            Self::Sink(sink) => sink.handle_datagram(now, datagram, meter),
        }
        Ok(())
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, meter: &mut Meter) -> Result<(), String> {
        match self {
            Self::Full(full) => full.handle_timeout(now, meter)?,
            Self::Sink(sink) => sink.handle_timeout(now, meter),
        }
        Ok(())
    }

    // ---- out

    pub(crate) fn poll_timeout(&self) -> Instant {
        match self {
            Self::Full(full) => full.poll_timeout(),
            Self::Sink(sink) => sink.poll_timeout(),
        }
    }

    // ---- getters

    pub(crate) fn inbound(&self) -> &Inbound {
        match self {
            Self::Full(full) => full.inbound(),
            Self::Sink(sink) => sink.inbound(),
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Full(full) => full.endpoint(),
            Self::Sink(sink) => sink.endpoint(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        match self {
            Self::Full(full) => full.is_connected(),
            Self::Sink(sink) => sink.is_connected(),
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, now: Instant) {
        match self {
            Self::Full(full) => full.peer().close(),
            Self::Sink(sink) => sink.close(now),
        }
    }
}
