//! Queues datagrams in one slab and sends them in batches; runs of equal size to one path leave as one message (GSO).
//!
//! A route on which the kernel refuses a joined message is remembered, and gets single datagrams from then on.

mod fan;
mod lane;
mod transmit;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::UdpSocket;
pub use fan::FanQueue;
use lane::{Lane, Run};
use transmit::Batch;

/// What was sent, since the queue was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendCounters {
    /// Datagrams handed to the kernel.
    pub datagrams: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Messages that carried them: one per run.
    pub messages: u64,
    /// System calls.
    pub calls: u64,
    /// Runs that had to be sent again one by one.
    pub fallbacks: u64,
    /// Datagrams that the kernel refused.
    pub errors: u64,
    /// Datagrams dropped because the kernel took no more and the slab was full.
    pub overflow: u64,
}

/// Datagrams on their way out by any of the shard's sockets.
pub struct SendQueue {
    sockets: Arc<[UdpSocket]>,
    /// One per socket.
    lanes: Box<[Lane]>,
    slab: Box<[u8]>,
    used: usize,
    reserved: Reserved,
    /// Where datagrams are written that will not be sent.
    spare: Box<[u8]>,
    /// The kernel takes no more for now; cleared by the next `flush`.
    blocked: bool,
    plain: PlainRoutes,
    batch: Batch,
    counters: SendCounters,
}

/// The last `reserve`. `lane` is `None` when its datagram is to be dropped.
struct Reserved {
    lane: Option<usize>,
    local: SocketAddr,
    remote: SocketAddr,
    max_len: usize,
}

impl SendQueue {
    /// Sends by `sockets`: each datagram by the one that serves its local address.
    pub fn new(sockets: Arc<[UdpSocket]>) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            lanes: sockets.iter().map(|socket| Lane::new(socket.supports_gso())).collect(),
            sockets,
            slab: vec![0; SLAB_BYTES].into(),
            used: 0,
            reserved: Reserved { lane: None, local: nowhere, remote: nowhere, max_len: 0 },
            spare: vec![0; MAX_DATAGRAM].into(),
            blocked: false,
            plain: PlainRoutes::default(),
            batch: Batch::new(),
            counters: SendCounters::default(),
        }
    }

    /// Room for one datagram of at most `max_len` bytes (65,535 at most) from `local` to `remote`.
    ///
    /// Write it, then `commit` its length; a second `reserve` without that takes the room back.
    pub fn reserve(&mut self, local: SocketAddr, remote: SocketAddr, max_len: usize) -> &mut [u8] {
        let max_len = max_len.min(MAX_DATAGRAM);
        let same_path = self.reserved.remote == remote && self.reserved.local == local;
        let full = self.used + max_len > self.slab.len();
        // Written and sent while it is in the cache; between two paths, so that no run is cut.
        if (full || (self.used >= FLUSH_BYTES && !same_path)) && !self.blocked {
            self.flush();
        }
        let lane = match self.reserved.lane {
            Some(lane) if same_path => Some(lane),
            _ => self.sockets.iter().position(|socket| socket.serves(&local)),
        };
        let fits = self.used + max_len <= self.slab.len();
        self.reserved = Reserved { lane: lane.filter(|_| fits), local, remote, max_len };
        match self.reserved.lane {
            Some(_) => &mut self.slab[self.used..self.used + max_len],
            None => &mut self.spare[..max_len],
        }
    }

    /// Queues what was written into the last `reserve`: its first `len` bytes. 0 queues nothing.
    pub fn commit(&mut self, len: usize) {
        let Reserved { lane, local, remote, max_len } = self.reserved;
        assert!(len <= max_len, "committed more than was reserved");
        self.reserved.max_len = 0;
        let Some(lane) = lane else {
            self.counters.overflow += u64::from(len > 0);
            return;
        };
        if len > 0 {
            self.lanes[lane].push(Run::single(local, remote, self.used, len), &self.plain);
            self.used += len;
        }
    }

    /// Sends what is queued. True when the kernel took it all; else call again once a socket is writable.
    pub fn flush(&mut self) -> bool {
        let (slab, batch) = (&self.slab, &mut self.batch);
        self.blocked = false;
        for (lane, socket) in self.lanes.iter_mut().zip(self.sockets.iter()) {
            let send = |runs: &[Run]| batch.send(socket, slab, runs);
            self.blocked |= !lane.drain(send, &mut self.plain, &mut self.counters);
        }
        if !self.blocked {
            self.used = 0;
        }
        !self.blocked
    }

    /// What was sent so far.
    pub fn counters(&self) -> SendCounters {
        self.counters
    }
}

/// Remote hosts to which the kernel refuses joined messages: the route's device or its MTU does not allow them.
#[derive(Default)]
struct PlainRoutes(HashSet<IpAddr>);

impl PlainRoutes {
    fn contains(&self, remote: &SocketAddr) -> bool {
        !self.0.is_empty() && self.0.contains(&remote.ip())
    }

    fn insert(&mut self, remote: &SocketAddr) {
        if self.0.len() >= MAX_PLAIN_ROUTES {
            self.0.clear(); // each costs one more refusal to learn again
        }
        self.0.insert(remote.ip());
    }
}

const MAX_DATAGRAM: usize = 65_535;
const SLAB_BYTES: usize = 1 << 20;
/// A part of a core's second-level cache.
const FLUSH_BYTES: usize = 256 << 10;
const MAX_PLAIN_ROUTES: usize = 1024;
/// The kernel's `UDP_MAX_SEGMENTS` (128 since Linux 6.9; 64 before).
const MAX_SEGMENTS: usize = 64;
/// The largest UDP payload over IPv4.
const MAX_RUN_BYTES: usize = 65_507;
/// A device without checksum offload, a segment above the MTU, a kernel or a sandbox that does not know `UDP_SEGMENT`.
const GSO_REFUSALS: [i32; 5] = [libc::EIO, libc::EINVAL, libc::EMSGSIZE, libc::EOPNOTSUPP, libc::ENOPROTOOPT];
