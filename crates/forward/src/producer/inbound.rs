//! Which SSRC of a transport carries what. Entered after authentication only, and bounded: the client chooses its SSRCs.

use std::collections::VecDeque;

use slots::Index;

/// What an SSRC carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) producer: Index,
    pub(crate) encoding: u8,
    /// Retransmissions of that encoding (RFC 4588).
    pub(crate) is_rtx: bool,
}

/// A stream of a producer that is gone.
#[derive(Debug)]
struct Orphan {
    ssrc: u32,
    mid: String,
    rid: Option<String>,
    is_rtx: bool,
}

#[derive(Debug, Default)]
pub(crate) struct InboundTable {
    routes: Vec<(u32, Route)>,
    /// Clients stop naming streams once we have acknowledged them, so the names outlive their producer.
    orphans: VecDeque<Orphan>,
    /// Where the last packet's route was: packets come in runs.
    recent: usize,
}

impl InboundTable {
    #[inline]
    pub(crate) fn find(&mut self, ssrc: u32) -> Option<Route> {
        if let Some((_, route)) = self.routes.get(self.recent).filter(|(known, _)| *known == ssrc) {
            return Some(*route);
        }
        self.recent = self.routes.iter().position(|(known, _)| *known == ssrc)?;
        self.routes.get(self.recent).map(|(_, route)| *route)
    }

    /// Enters an SSRC in place of the one that carried the same before; false when the table is full.
    pub(crate) fn enter(&mut self, ssrc: u32, route: Route) -> bool {
        self.routes.retain(|(known, other)| *known != ssrc && *other != route);
        if self.routes.len() >= MAX_SSRCS {
            return false;
        }
        self.routes.push((ssrc, route));
        true
    }

    /// A producer is gone; its section's name and those of its encodings are remembered with their SSRCs.
    pub(crate) fn forget(&mut self, producer: Index, mid: &str, rid_of: impl Fn(u8) -> Option<String>) {
        for (ssrc, route) in self.routes.extract_if(.., |(_, route)| route.producer == producer) {
            let (rid, is_rtx) = (rid_of(route.encoding), route.is_rtx);
            self.orphans.push_back(Orphan { ssrc, mid: mid.to_owned(), rid, is_rtx });
        }
        let excess = self.orphans.len().saturating_sub(MAX_SSRCS);
        self.orphans.drain(..excess);
    }

    /// What a new producer in this section may still be sent on: (SSRC, rid, whether it carries retransmissions).
    pub(crate) fn adopt(&mut self, mid: &str) -> Vec<(u32, Option<String>, bool)> {
        let (adopted, others) = std::mem::take(&mut self.orphans).into_iter().partition(|orphan| orphan.mid == mid);
        self.orphans = others;
        let adopted: VecDeque<Orphan> = adopted;
        adopted.into_iter().map(|orphan| (orphan.ssrc, orphan.rid, orphan.is_rtx)).collect()
    }
}

// Three encodings with RTX for each of ten tracks.
const MAX_SSRCS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn route(producer: Index, encoding: u8) -> Route {
        Route { producer, encoding, is_rtx: false }
    }

    #[test]
    fn a_new_ssrc_takes_the_place_of_the_old_one() {
        let mut table = InboundTable::default();
        assert!(table.enter(1, route(0, 0)));
        assert!(table.enter(2, route(0, 1)));
        assert!(table.enter(3, route(0, 0)));
        assert_eq!((table.find(1), table.find(2), table.find(3)), (None, Some(route(0, 1)), Some(route(0, 0))));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_producers() {
        let mut table = InboundTable::default();
        for ssrc in 0..MAX_SSRCS as u32 {
            assert!(table.enter(ssrc, route(ssrc, 0)));
        }
        assert!(!table.enter(1_000, route(1_000, 0)));
        table.forget(5, "a", |_| Some("q".to_owned()));
        assert!(table.enter(1_000, route(1_000, 0)));
        assert_eq!(table.find(5), None);
        assert_eq!(table.adopt("b"), []);
        assert_eq!(table.adopt("a"), [(5, Some("q".to_owned()), false)]);
        assert_eq!(table.adopt("a"), []);
        for ssrc in 0..2 * MAX_SSRCS as u32 {
            assert!(table.enter(ssrc, route(7, 0)));
            table.forget(7, "c", |_| None);
        }
        assert_eq!(table.adopt("c").len(), MAX_SSRCS);
    }
}
