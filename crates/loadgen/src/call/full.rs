//! A subscriber like a browser, made of str0m: it decrypts every packet, asks for lost ones again, and tells the server what came.

use std::collections::HashMap;
use std::time::Instant;

use netio::Datagram;
use str0m::change::SdpOffer;
use str0m::media::KeyframeRequestKind;
use str0m::{Event, Rtc};
use wire::{Ssrc, demux, rtp};

use super::endpoint::Endpoint;
use super::inbound::Inbound;
use super::meter::Meter;
use super::peer::{self, Peer};
use super::sdp::{self, Kind, Offer};

/// One subscriber's connection.
pub(crate) struct Full {
    peer: Peer,
    inbound: Inbound,
}

impl Full {
    pub(crate) fn new(now: Instant, endpoint: Endpoint, identity: &peer::Identity) -> Result<Self, String> {
        let config = Rtc::builder().set_rtp_mode(true);
        Ok(Self { peer: Peer::new(now, config, endpoint, identity)?, inbound: Inbound::default() })
    }

    // ---- in

    /// Answers an offer of the server's, of which `text` is all.
    pub(crate) fn handle_offer(
        &mut self,
        now: Instant,
        offer: &Offer,
        text: &str,
        tracks: &HashMap<String, String>,
        meter: &mut Meter,
    ) -> Result<String, String> {
        self.inbound.handle_offer(offer, tracks);
        let description = SdpOffer::from_sdp_string(&sdp::for_str0m(text)).map_err(|error| error.to_string())?;
        let answer = self.peer.rtc().sdp_api().accept_offer(description).map_err(|error| error.to_string())?;
        self.peer.handle_remote_described();
        self.drain(now, None, meter)?;
        Ok(answer.to_sdp_string())
    }

    pub(crate) fn handle_candidate(&mut self, now: Instant, candidate: &str, meter: &mut Meter) -> Result<(), String> {
        self.peer.handle_candidate(candidate);
        self.drain(now, None, meter)
    }

    /// A datagram from the server; `now` is when it counts as received.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &mut Datagram<'_>,
        meter: &mut Meter,
    ) -> Result<(), String> {
        let mut current = Current { received: datagram.received, repair: false };
        if demux::classify(datagram.bytes) == demux::Protocol::Rtp
            && let Ok(header) = rtp::parse_header(datagram.bytes)
        {
            let Some(verdict) = self.inbound.handle_packet(&header, datagram.bytes.len(), meter) else { return Ok(()) };
            current.repair = verdict.repair;
            if verdict.first && verdict.kind == Kind::Video && !verdict.repair {
                self.request_keyframe(header.ssrc, meter);
            }
        }
        self.peer.handle_datagram(now, datagram)?;
        self.drain(now, Some(current), meter)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, meter: &mut Meter) -> Result<(), String> {
        self.peer.handle_timeout(now)?;
        self.drain(now, None, meter)
    }

    // ---- out

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.peer.poll_timeout()
    }

    // ---- getters

    pub(crate) fn inbound(&self) -> &Inbound {
        &self.inbound
    }

    pub(crate) fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.peer.endpoint()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.peer.is_connected()
    }

    // ---- details

    fn request_keyframe(&mut self, ssrc: Ssrc, meter: &mut Meter) {
        if let Some(stream) = self.peer.rtc().direct_api().stream_rx(&ssrc.0.into()) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            meter.sums.keyframe_requests_sent += 1;
        }
    }

    fn drain(&mut self, now: Instant, current: Option<Current>, meter: &mut Meter) -> Result<(), String> {
        let received = current.as_ref().map_or(now, |current| current.received);
        while let Some(event) = self.peer.poll_event()? {
            match event {
                // A repair comes under the SSRC of what it repairs, and is late by nature.
                Event::RtpPacket(packet) if current.as_ref().is_some_and(|current| !current.repair) => {
                    self.inbound.handle_payload(Ssrc(*packet.header.ssrc), &packet.payload, received, meter);
                }
                Event::ChannelData(data) => self.inbound.handle_data(&data.data, received, meter),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The datagram that is being handled.
#[derive(Clone, Copy)]
struct Current {
    received: Instant,
    repair: bool,
}
