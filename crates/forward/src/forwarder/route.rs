//! Which encoding an SSRC belongs to, learned from the first packets: MID and RID, MID and repaired RID, or, for a client
//! without these extensions, a payload type that only one producer has. Authenticated packets only.

use std::time::Instant;

use wire::ext::Parsed;
use wire::rtp::RtpPacket;

use super::Forwarder;
use crate::producer::{Producer, Route};
use slots::Index;

impl Forwarder {
    /// Finds and enters the route of a new SSRC; counts why when there is none.
    #[cold]
    pub(super) fn learn_route(
        &mut self,
        now: Instant,
        transport: Index,
        packet: &RtpPacket<'_>,
        parsed: &Parsed<'_>,
    ) -> Option<Route> {
        let Some(route) = self.find_route(transport, packet, parsed) else {
            self.counters.drop_unknown_ssrc += 1;
            return None;
        };
        let entry = self.transports.get_mut(transport)?;
        let producer = self.producers.get_mut(route.producer)?;
        let encoding = producer.encodings.get_mut(usize::from(route.encoding))?;
        let is_allowed = route.is_rtx || encoding.may_rebind(now);
        if !is_allowed || !entry.inbound.enter(packet.ssrc.0, route) {
            self.counters.drop_ssrc_table_full += 1;
            return None;
        }
        if !route.is_rtx {
            encoding.rebind(now, packet.ssrc);
        }
        Some(route)
    }

    fn find_route(&self, transport: Index, packet: &RtpPacket<'_>, parsed: &Parsed<'_>) -> Option<Route> {
        let entry = self.transports.get(transport)?;
        let mut candidates = entry.producers.iter().filter_map(|at| {
            let producer = self.producers.get(*at)?;
            let names_it = parsed.mid.is_none_or(|mid| mid == producer.mid);
            let route = route_within(*at, producer, packet, parsed)?;
            names_it.then_some(route)
        });
        let route = candidates.next()?;
        // Without a MID, two producers with the same payload type cannot be told apart.
        candidates.next().is_none().then_some(route)
    }
}

fn route_within(at: Index, producer: &Producer, packet: &RtpPacket<'_>, parsed: &Parsed<'_>) -> Option<Route> {
    let is_rtx = Some(packet.payload_type) == producer.rtx_payload_type;
    if !is_rtx && !producer.is_media(packet.payload_type) {
        return None;
    }
    let rid = if is_rtx { parsed.repaired_rid.or(parsed.rid) } else { parsed.rid };
    let encoding = producer.encoding_by_rid(rid)?;
    Some(Route { producer: at, encoding, is_rtx })
}
