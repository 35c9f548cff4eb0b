//! The relay as a whole: what comes in from each side, and to which file it goes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use wire::stun::TransactionId;

use crate::acl::{self, Acl};
use crate::allocation::Allocation;
use crate::bucket::Nanos;
use crate::counters::Counters;
use crate::exchange::Ledger;
use crate::hash::HashKey;
use crate::limiter::Limiter;
use crate::nonce::Nonces;
use crate::table::Table;
use crate::{AllocationStats, ClientAddress, Configuration, ConnectionId, Outputs, RelayCommand, SocketId};

/// Verbs: `handle_*`; getters: `poll_timeout`, `counters`, `allocations`.
pub struct Relay {
    start: Instant,
    pub(crate) nonces: Nonces,
    pub(crate) limiter: Limiter,
    pub(crate) acl: Acl,
    pub(crate) configuration: Configuration,
    pub(crate) table: Table,
    pub(crate) ledger: Ledger,
    pub(crate) counters: Counters,
    /// Of the last Data indication.
    pub(crate) transaction: u128,
}

impl Relay {
    /// `key` is from a CSPRNG: nonces are made with it, and tables are keyed by it.
    pub fn new(key: [u8; 32], now: Instant) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let configuration = Configuration::default();
        let table_key = HashKey::new(derived(&secret, b"table"));
        Self {
            start: now,
            nonces: Nonces::new(
                hmac::Key::new(hmac::HMAC_SHA256, &derived::<32>(&secret, b"nonce")),
                u32::from_be_bytes(derived(&secret, b"time")),
            ),
            limiter: Limiter::new(HashKey::new(derived(&secret, b"limiter"))),
            acl: Acl::new(&configuration),
            configuration,
            table: Table::new(table_key),
            ledger: Ledger::new(table_key),
            counters: Counters::default(),
            transaction: u128::from_be_bytes(derived(&secret, b"transaction")),
        }
    }

    /// From the driver.
    pub fn handle_command(&mut self, now: Instant, command: RelayCommand, out: &mut impl Outputs) {
        let now = self.nanos(now);
        match command {
            RelayCommand::Configure(configuration) => self.configure(configuration, out),
            RelayCommand::Reply(reply) => self.reply(now, &reply, out),
            RelayCommand::InstallAllocation(install) => self.install_allocation(&install, out),
            RelayCommand::InstallPermission { allocation, host } => {
                self.install_permission(allocation, host.to_canonical(), out);
            }
            RelayCommand::RemovePermission { allocation, host } => {
                self.remove_permission(allocation, host.to_canonical(), out);
            }
            RelayCommand::InstallChannel(install) => self.install_channel(&install, out),
            RelayCommand::RemoveChannel { allocation, channel } => self.remove_channel(allocation, channel, out),
            RelayCommand::RemoveRelayed { allocation, family } => self.remove_relayed(allocation, family, out),
            RelayCommand::RemoveAllocation { allocation } => self.remove_allocation(allocation, out),
        }
        self.gauge();
    }

    /// One message of a client: a datagram, or what was cut out of a stream.
    #[inline]
    pub fn handle_client(&mut self, now: Instant, client: &ClientAddress, message: &[u8], out: &mut impl Outputs) {
        let now = self.nanos(now);
        match message.first() {
            Some(0x40..=0x7f) => self.channel_data(now, client, message, out),
            Some(0..=3) => self.stun(now, client, message, out),
            _ => self.no_turn(client, out),
        }
    }

    /// One datagram that a relay socket received.
    #[inline]
    pub fn handle_peer(
        &mut self,
        now: Instant,
        socket: SocketId,
        peer: SocketAddr,
        payload: &[u8],
        out: &mut impl Outputs,
    ) {
        let now = self.nanos(now);
        self.peer_datagram(now, socket, acl::canonical(peer), payload, out);
    }

    /// One datagram of a media socket of this process to a relayed address: those that `Route` cannot serve (streams).
    pub fn handle_media(
        &mut self,
        _now: Instant,
        media: SocketAddr,
        relayed: SocketAddr,
        payload: &[u8],
        out: &mut impl Outputs,
    ) {
        self.media_datagram(acl::canonical(media), acl::canonical(relayed), payload, out);
    }

    /// A connection has ended.
    pub fn handle_connection_closed(&mut self, _now: Instant, connection: ConnectionId, out: &mut impl Outputs) {
        self.forget_connection(connection, out);
        self.gauge();
    }

    /// When `handle_timeout` has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ledger.next_timeout().map(|at| self.start + Duration::from_nanos(at))
    }

    /// Forgets what is no longer needed.
    pub fn handle_timeout(&mut self, now: Instant, _out: &mut impl Outputs) {
        let now = self.nanos(now);
        while let Some(request) = self.ledger.poll_old_wait(now) {
            self.give_up(request);
        }
        self.forget_old_answers(now);
        self.gauge();
    }

    /// What was done and what was dropped.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Of every allocation.
    pub fn allocations(&self) -> impl Iterator<Item = AllocationStats> + '_ {
        self.table.allocations().map(Allocation::stats)
    }

    /// Bytes that the relay holds per allocation, on average: a lower bound of what `malloc` takes. For tests.
    #[doc(hidden)]
    pub fn bytes_per_allocation(&self) -> usize {
        self.table.heap_bytes() / self.table.allocation_count().max(1)
    }

    pub(crate) fn next_transaction(&mut self) -> TransactionId {
        self.transaction = self.transaction.wrapping_mul(TRANSACTION_STEP).wrapping_add(1);
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&self.transaction.to_be_bytes()[..12]);
        TransactionId(transaction)
    }

    #[inline]
    fn nanos(&self, now: Instant) -> Nanos {
        now.saturating_duration_since(self.start).as_nanos() as Nanos
    }

    /// Gauges, after whatever may have changed them.
    pub(crate) fn gauge(&mut self) {
        self.counters.allocations = self.table.allocation_count() as u64;
        self.counters.clients = self.table.client_count() as u64;
        self.counters.sockets = self.table.socket_count() as u64;
        self.counters.waiting = self.ledger.waiting_count() as u64;
        self.counters.remembered_bytes = self.ledger.answers_bytes() as u64;
    }
}

/// A key for one purpose.
fn derived<const N: usize>(secret: &hmac::Key, purpose: &[u8]) -> [u8; N] {
    let tag = hmac::sign(secret, purpose);
    let mut key = [0; N];
    key.copy_from_slice(&tag.as_ref()[..N]);
    key
}

/// Knuth's: indications need ids that do not repeat, not ids that nobody can guess.
const TRANSACTION_STEP: u128 = 0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f;
