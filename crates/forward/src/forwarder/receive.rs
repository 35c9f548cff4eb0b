//! The way in: which protocol a datagram is, and whose.

use std::time::{Duration, Instant};

use wire::demux::{Protocol, classify};

use super::Forwarder;
use crate::transport::{CloseReason, Drop, StunOutcome, StunRejection};
use crate::{Path, PathProtocol};
use slots::Index;

impl Forwarder {
    /// Takes one datagram; RTP is decrypted in place. `received` is the kernel's receive time.
    #[inline]
    pub fn handle_datagram(&mut self, now: Instant, received: Instant, path: Path, datagram: &mut [u8]) {
        self.counters.datagrams_in += 1;
        self.counters.datagram_bytes_in += datagram.len() as u64;
        match classify(datagram) {
            Protocol::Rtp => self.handle_rtp(now, received, path, datagram),
            Protocol::Rtcp => self.handle_rtcp(now, received, path, datagram),
            Protocol::Stun => self.handle_stun(now, path, datagram),
            Protocol::Dtls => self.handle_dtls(now, path, datagram),
            Protocol::ChannelData | Protocol::Unknown => self.counters.drop_unknown_protocol += 1,
        }
    }

    /// The TCP connection of this path is closed.
    pub fn handle_path_closed(&mut self, now: Instant, path: Path) {
        let Some(at) = self.names.path(path) else { return };
        self.names.forget_path(path, at);
        if let Some(entry) = self.transports.get_mut(at) {
            entry.transport.handle_path_closed(now, path);
        }
        self.settle(now, at);
    }

    fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        let Ok(message) = wire::stun::Message::parse(datagram) else {
            self.counters.drop_stun_malformed += 1;
            return;
        };
        // Checks name us; responses to our own checks come over a path that we know.
        let at = match message.username().and_then(|name| name.split_once(':')) {
            Some((ufrag, _)) => self.names.ufrag(ufrag),
            None => self.names.path(path),
        };
        let Some(at) = at else {
            self.counters.drop_stun_unknown_ufrag += 1;
            return;
        };
        let Some(entry) = self.transports.get_mut(at) else { return };
        match entry.transport.handle_stun(now, path, datagram) {
            StunOutcome::Verified { new_path } => {
                entry.heard_at = Some(now);
                if new_path || self.names.path(path) != Some(at) {
                    self.learn_path(now, path, at);
                }
                self.settle(now, at);
            }
            StunOutcome::Ignored => {}
            StunOutcome::Rejected(StunRejection::Malformed) => self.counters.drop_stun_malformed += 1,
            StunOutcome::Rejected(StunRejection::BadIntegrity) => self.counters.drop_stun_integrity += 1,
            StunOutcome::Rejected(_) => self.counters.drop_stun_other += 1,
        }
    }

    fn handle_dtls(&mut self, _now: Instant, path: Path, datagram: &[u8]) {
        let Some(at) = self.names.path(path) else {
            self.counters.drop_unknown_path += 1;
            return;
        };
        let Some(entry) = self.transports.get_mut(at) else { return };
        if entry.transport.queue_session_datagram(path, datagram) {
            self.queue_background(at);
        } else {
            self.counters.drop_session_queue_full += 1;
        }
    }

    /// A path belongs to who verified it last; but not while it carries another client, whose address this one may be forging.
    fn learn_path(&mut self, now: Instant, path: Path, at: Index) {
        let owner = self.names.path(path).filter(|owner| *owner != at).and_then(|owner| self.transports.get(owner));
        let in_use = owner.is_some_and(|owner| {
            owner.transport.selected_path() == Some(path)
                && owner.heard_at.is_some_and(|heard_at| now < heard_at + PATH_IN_USE)
        });
        if !in_use {
            self.names.learn_path(path, at);
        }
    }

    #[cold]
    pub(super) fn count_drop(&mut self, drop: Drop) {
        let counter = match drop {
            Drop::NotConnected => &mut self.counters.drop_not_connected,
            Drop::Malformed => &mut self.counters.drop_malformed,
            Drop::BadAuthentication => &mut self.counters.drop_authentication,
            Drop::Replayed => &mut self.counters.drop_replayed,
            Drop::TooOld => &mut self.counters.drop_too_old,
        };
        *counter += 1;
    }

    pub(super) fn count_selected(&mut self, path: Path) {
        match path.protocol {
            PathProtocol::Udp => self.counters.paths_selected_udp += 1,
            PathProtocol::Tcp => self.counters.paths_selected_tcp += 1,
            PathProtocol::Relay => self.counters.paths_selected_relay += 1,
        }
    }

    pub(super) fn count_closed(&mut self, reason: CloseReason) {
        let counter = match reason {
            CloseReason::DtlsFailed => &mut self.counters.closed_dtls_failed,
            CloseReason::FingerprintMismatch => &mut self.counters.closed_fingerprint_mismatch,
            CloseReason::ConsentExpired => &mut self.counters.closed_consent_expired,
            CloseReason::PeerClosed => &mut self.counters.closed_peer_closed,
            CloseReason::InternalError => &mut self.counters.closed_internal_error,
        };
        *counter += 1;
    }
}

// Clients check their path every few seconds, even when nothing else is sent.
const PATH_IN_USE: Duration = Duration::from_secs(5);
