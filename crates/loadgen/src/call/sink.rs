//! A cheap subscriber: ICE, DTLS and SCTP as every client, but packets are only counted, and one in 64 is decrypted. It tells the
//! server what came (receiver reports, transport-wide feedback), asks for a keyframe when it first sees a video, and repairs nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use forward::Path;
use forward::testing::{Arrivals, ClientConfig, ClientInbound, ClientTransport, ServerParameters};
use forward::transport::TransportEvent;
use netio::Datagram;
use wire::rtp::{self, RtpHeader, RtpPacket};
use wire::{Ssrc, demux, rtcp};

use super::endpoint::Endpoint;
use super::inbound::Inbound;
use super::meter::Meter;
use super::sdp::{Answerer, Kind, Offer};

/// One sink's connection.
pub(crate) struct Sink {
    endpoint: Endpoint,
    seed: u64,
    /// Since the first offer.
    transport: Option<ClientTransport>,
    server: Option<ServerParameters>,
    remote: Option<SocketAddr>,
    inbound: Inbound,
    arrivals: Arrivals,
    transport_cc: Option<u8>,
    report_at: Instant,
}

impl Sink {
    pub(crate) fn new(now: Instant, endpoint: Endpoint, seed: u64) -> Self {
        Self {
            endpoint,
            seed,
            transport: None,
            server: None,
            remote: None,
            inbound: Inbound::default(),
            arrivals: Arrivals::default(),
            transport_cc: None,
            report_at: now + REPORT_INTERVAL,
        }
    }

    // ---- in

    /// Answers an offer of the server's.
    pub(crate) fn handle_offer(
        &mut self,
        now: Instant,
        offer: &Offer,
        tracks: &HashMap<String, String>,
        meter: &mut Meter,
    ) -> String {
        self.inbound.handle_offer(offer, tracks);
        self.transport_cc = offer.sections.iter().find_map(|section| section.transport_cc).or(self.transport_cc);
        self.remote = self.remote.or_else(|| pick(&offer.candidates, self.endpoint.local()));
        let server = ServerParameters {
            ufrag: offer.ufrag.clone(),
            password: offer.password.clone(),
            fingerprint: offer.fingerprint.clone(),
        };
        let data = offer.sections.iter().any(|section| section.kind == Kind::Application && !section.rejected);
        let local = self.endpoint.local();
        let transport = self.transport.get_or_insert_with(|| {
            let path = Path::udp(local, self.remote.unwrap_or(local));
            ClientTransport::new(
                now,
                ClientConfig { data, controlling: offer.ice_lite, ..ClientConfig::new(path, self.seed) },
            )
        });
        let own = transport.remote();
        let restarted = self.server.as_ref().is_none_or(|before| before.ufrag != server.ufrag);
        self.server = Some(server);
        if restarted {
            self.connect(now, meter);
        }
        let by = Answerer { ufrag: &own.ufrag, password: &own.password, fingerprint: &own.fingerprint, address: local };
        offer.answer(&by)
    }

    /// An address of the server's that was in no description.
    pub(crate) fn handle_candidate(&mut self, now: Instant, candidate: SocketAddr, meter: &mut Meter) {
        if self.remote.is_some() || candidate.is_ipv4() != self.endpoint.local().is_ipv4() {
            return;
        }
        self.remote = Some(candidate);
        if let Some(transport) = &mut self.transport {
            transport.migrate(now, Path::udp(self.endpoint.local(), candidate));
        }
        self.connect(now, meter);
    }

    /// A datagram from the server; `now` is when it counts as received.
    #[inline]
    pub(crate) fn handle_datagram(&mut self, now: Instant, datagram: &mut Datagram<'_>, meter: &mut Meter) {
        if demux::classify(datagram.bytes) == demux::Protocol::Rtp {
            if let Ok(header) = rtp::parse_header(datagram.bytes) {
                self.handle_rtp(now, &header, datagram, meter);
            }
            return;
        }
        let Some(transport) = &mut self.transport else { return };
        let path = Path::udp(self.endpoint.local(), datagram.remote);
        if let ClientInbound::Rtcp(len) = transport.handle_datagram(now, path, datagram.bytes) {
            self.inbound.handle_rtcp(now, &datagram.bytes[..len]);
        }
        self.flush(now, datagram.received, meter);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, meter: &mut Meter) {
        if let Some(transport) = &mut self.transport {
            transport.handle_timeout(now);
            self.flush(now, now, meter);
        }
        self.send_feedback(now);
        if now >= self.report_at {
            self.report_at = now + REPORT_INTERVAL;
            self.send_reports(now);
        }
    }

    // ---- out

    pub(crate) fn poll_timeout(&self) -> Instant {
        let transport = self.transport.as_ref().and_then(ClientTransport::poll_timeout);
        transport.into_iter().chain(self.arrivals.poll_timeout()).fold(self.report_at, Instant::min)
    }

    // ---- getters

    pub(crate) fn inbound(&self) -> &Inbound {
        &self.inbound
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.transport.as_ref().is_some_and(ClientTransport::is_connected)
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, now: Instant) {
        if let Some(transport) = &mut self.transport {
            transport.close();
            self.send_waiting(now);
        }
    }

    // ---- details

    #[inline]
    fn handle_rtp(&mut self, now: Instant, header: &RtpHeader, datagram: &mut Datagram<'_>, meter: &mut Meter) {
        let Some(verdict) = self.inbound.handle_packet(header, datagram.bytes.len(), meter) else { return };
        self.note_arrival(now, header, datagram);
        if verdict.sample {
            self.decrypt(now, datagram, meter);
        }
        if verdict.first && verdict.kind == Kind::Video && !verdict.repair {
            meter.sums.keyframe_requests_sent += 1;
            self.send_rtcp(|buf| rtcp::write_pli(buf, OWN_SSRC, header.ssrc));
        }
    }

    #[inline]
    fn note_arrival(&mut self, now: Instant, header: &RtpHeader, datagram: &Datagram<'_>) {
        let number =
            self.transport_cc.and_then(|id| header.extension(datagram.bytes)?.find(id)?.first_chunk().copied());
        if let Some(number) = number {
            self.arrivals.handle_arrival(now, datagram.received, u16::from_be_bytes(number), header.ssrc);
        }
    }

    fn decrypt(&mut self, now: Instant, datagram: &mut Datagram<'_>, meter: &mut Meter) {
        let Some(transport) = &mut self.transport else { return };
        let path = Path::udp(self.endpoint.local(), datagram.remote);
        match transport.handle_datagram(now, path, datagram.bytes) {
            ClientInbound::Rtp(packet) => {
                if let Ok(packet) = RtpPacket::from_header(&packet.header, &datagram.bytes[..packet.len]) {
                    self.inbound.handle_payload(packet.ssrc, packet.payload, datagram.received, meter);
                }
            }
            _ => meter.sums.unauthentic += 1,
        }
    }

    fn connect(&mut self, now: Instant, meter: &mut Meter) {
        if let (Some(transport), Some(server), Some(_)) = (&mut self.transport, &self.server, self.remote) {
            transport.connect(now, server);
            self.flush(now, now, meter);
        }
    }

    fn send_feedback(&mut self, now: Instant) {
        let mut buf = [0; RTCP_BYTES];
        let room = RTCP_BYTES - RTCP_OVERHEAD;
        while let Some(len) = self.arrivals.poll_feedback(now, OWN_SSRC, &mut buf[..room]) {
            self.protect_and_send(&mut buf, len);
        }
    }

    fn send_reports(&mut self, now: Instant) {
        let reports = self.inbound.poll_reports(now);
        for blocks in reports.chunks(MAX_BLOCKS) {
            self.send_rtcp(|buf| rtcp::write_rr(buf, OWN_SSRC, blocks));
        }
    }

    fn send_rtcp(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let mut buf = [0; RTCP_BYTES];
        if let Some(len) = write(&mut buf[..RTCP_BYTES - RTCP_OVERHEAD]) {
            self.protect_and_send(&mut buf, len);
        }
    }

    fn protect_and_send(&mut self, buf: &mut [u8], len: usize) {
        let Some(transport) = &mut self.transport else { return };
        let remote = transport.path().remote;
        let Some(srtp) = transport.srtp_outbound() else { return };
        let len = srtp.protect_rtcp(buf, len);
        self.endpoint.send(&buf[..len], remote);
    }

    /// Sends what waits, and takes what came over data channels.
    fn flush(&mut self, now: Instant, received: Instant, meter: &mut Meter) {
        while let Some(event) = self.transport.as_mut().and_then(|transport| transport.poll_event(now)) {
            if let TransportEvent::Data { payload, .. } = event {
                self.inbound.handle_data(&payload, received, meter);
            }
        }
        self.send_waiting(now);
    }

    fn send_waiting(&mut self, now: Instant) {
        let Some(transport) = &mut self.transport else { return };
        let mut buf = [0; 2_048];
        while let Some((path, len)) = transport.poll_datagram(now, &mut buf) {
            self.endpoint.send(&buf[..len], path.remote);
        }
    }
}

/// The first candidate that can be reached from here.
fn pick(candidates: &[SocketAddr], local: SocketAddr) -> Option<SocketAddr> {
    candidates.iter().copied().find(|candidate| candidate.is_ipv4() == local.is_ipv4())
}

/// Receivers that send nothing may use any.
const OWN_SSRC: Ssrc = Ssrc(1);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const MAX_BLOCKS: usize = 31;
const RTCP_BYTES: usize = 1_200;
/// Index and the longest tag.
const RTCP_OVERHEAD: usize = 20;
