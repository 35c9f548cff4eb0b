//! Receives datagrams in batches into one preallocated slab, split again where the kernel joined them (GRO).
#![allow(unsafe_code)]

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use crate::UdpSocket;
use crate::address::RawAddress;
use crate::control::{ControlBuffer, Received, empty_message, read_received};
use crate::socket::check;

/// One received datagram.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// The address it was sent to, with our port: where the reply should leave from.
    pub local: SocketAddr,
    /// Who sent it.
    pub remote: SocketAddr,
    /// When the kernel received it, which is a little before now.
    pub received: Instant,
    /// Its payload; the next batch overwrites it.
    pub bytes: &'a mut [u8],
}

/// Slabs for one batch of messages, and what was received last.
pub struct Receiver {
    slab: Box<[u8]>,
    names: Box<[RawAddress]>,
    controls: Box<[ControlBuffer]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// The messages of this batch, and the datagrams in them.
    messages: Vec<Message>,
    datagrams: Vec<Segment>,
    received_at: Instant,
    truncated: u64,
    full: bool,
}

struct Message {
    local: SocketAddr,
    remote: SocketAddr,
    received: Instant,
}

struct Segment {
    message: u32,
    /// In the slab, which is far below 4 GiB.
    start: u32,
    end: u32,
}

impl Receiver {
    /// Takes 2 MiB, of which an idle shard touches little.
    pub fn new() -> Self {
        Self {
            slab: vec![0; BATCH * MESSAGE_STRIDE].into(),
            names: vec![RawAddress::empty(); BATCH].into(),
            controls: vec![ControlBuffer::empty(); BATCH].into(),
            vectors: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH].into(),
            headers: vec![empty_message(); BATCH].into(),
            messages: Vec::with_capacity(BATCH),
            datagrams: Vec::with_capacity(BATCH * SEGMENTS_PER_MESSAGE),
            received_at: Instant::now(),
            truncated: 0,
            full: false,
        }
    }

    /// Receives what waits on `socket`, one batch at most, and gives the number of datagrams; 0 when nothing waits.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.messages.clear();
        self.datagrams.clear();
        let count = match self.receive_raw(socket) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(error) => return Err(error),
        };
        self.full = count == BATCH;
        let clock = Clock::read();
        self.received_at = clock.instant;
        for index in 0..count {
            self.take(socket, index, &clock);
        }
        Ok(self.datagrams.len())
    }

    /// One datagram of the batch. Panics past the number that `receive` gave.
    pub fn datagram(&mut self, index: usize) -> Datagram<'_> {
        let segment = &self.datagrams[index];
        let message = &self.messages[segment.message as usize];
        Datagram {
            local: message.local,
            remote: message.remote,
            received: message.received,
            bytes: &mut self.slab[segment.start as usize..segment.end as usize],
        }
    }

    /// When the last batch was fetched: not before any of its datagrams was received.
    pub fn received_at(&self) -> Instant {
        self.received_at
    }

    /// Whether the last batch was as large as can be: more may wait.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Messages that were dropped because they did not fit or had no address.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }

    fn receive_raw(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.aim();
        // SAFETY: `aim` pointed each of the headers at slabs of ours of the lengths it states.
        let count = check(unsafe {
            libc::recvmmsg(
                socket.raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        })?;
        Ok(count as usize)
    }

    /// Points the headers at the slabs anew, as the kernel wrote lengths into them.
    fn aim(&mut self) {
        let slots = self.slab.chunks_exact_mut(MESSAGE_STRIDE).zip(&mut self.names).zip(&mut self.controls);
        for (((slot, name), control), (vector, message)) in slots.zip(self.vectors.iter_mut().zip(&mut self.headers)) {
            vector.iov_base = slot.as_mut_ptr().cast();
            vector.iov_len = MESSAGE_BYTES;
            let header = &mut message.msg_hdr;
            header.msg_name = std::ptr::from_mut(name).cast();
            header.msg_namelen = RawAddress::LEN;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr();
            header.msg_controllen = ControlBuffer::LEN as _;
            header.msg_flags = 0;
        }
    }

    fn take(&mut self, socket: &UdpSocket, index: usize, clock: &Clock) {
        let message = &self.headers[index];
        // SAFETY: the kernel filled this header in, and its control buffer was initialised from the start.
        let told = unsafe { read_received(&message.msg_hdr) };
        let (len, cut) = (message.msg_len as usize, message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0);
        let Some(remote) = self.names[index].get().filter(|_| !cut) else {
            self.truncated += 1;
            return;
        };
        let number = self.messages.len() as u32;
        self.messages.push(Message {
            local: local_address(socket, &told),
            remote,
            received: told.at.map_or(clock.instant, |at| clock.instant_of(at)),
        });
        let start = index * MESSAGE_STRIDE;
        for Range { start, end } in segments(start..start + len, told.segment) {
            self.datagrams.push(Segment { message: number, start: start as u32, end: end as u32 });
        }
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

fn local_address(socket: &UdpSocket, told: &Received) -> SocketAddr {
    let bound = socket.local_address();
    match told.destination {
        None => bound,
        Some((std::net::IpAddr::V4(address), _)) => SocketAddr::from((address, bound.port())),
        Some((std::net::IpAddr::V6(address), interface)) => {
            let scope = if address.is_unicast_link_local() { interface } else { 0 };
            SocketAddrV6::new(address, bound.port(), 0, scope).into()
        }
    }
}

/// Splits a message at every `size` bytes; a datagram without payload is one empty segment.
fn segments(message: Range<usize>, size: Option<usize>) -> impl Iterator<Item = Range<usize>> {
    let size = size.unwrap_or(message.len()).max(1);
    let count = message.len().div_ceil(size).max(1);
    (0..count).map(move |index| {
        let start = message.start + index * size;
        start..(start + size).min(message.end)
    })
}

/// One reading of both clocks, to turn the kernel's wall-clock timestamps into `Instant`s.
struct Clock {
    instant: Instant,
    unix: Duration,
}

impl Clock {
    fn read() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix }
    }

    /// The wall clock may have been set meanwhile; an age that cannot be is taken as none.
    fn instant_of(&self, unix: Duration) -> Instant {
        let age = self.unix.checked_sub(unix).filter(|age| *age < MAX_AGE).unwrap_or_default();
        self.instant.checked_sub(age).unwrap_or(self.instant)
    }
}

/// 32 messages: at 64 segments each more than a receive buffer holds, and few enough to keep a batch under a millisecond.
const BATCH: usize = 32;
/// The largest that GRO joins, and the largest UDP payload.
const MESSAGE_BYTES: usize = 1 << 16;
/// From message to message. At a power of two the first bytes of all of them would share a few sets of the processor's caches.
const MESSAGE_STRIDE: usize = MESSAGE_BYTES + 33 * 64;
const SEGMENTS_PER_MESSAGE: usize = 64;
/// Nothing waits for so long in a receive buffer of a shard that runs.
const MAX_AGE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_where_the_kernel_joined() {
        let split = |range, size| segments(range, size).map(|part| (part.start, part.end)).collect::<Vec<_>>();
        assert_eq!(split(10..35, Some(10)), [(10, 20), (20, 30), (30, 35)]);
        assert_eq!(split(0..20, Some(10)), [(0, 10), (10, 20)]);
        assert_eq!(split(5..25, None), [(5, 25)]);
        assert_eq!(split(5..5, None), [(5, 5)]);
        assert_eq!(split(5..5, Some(0)), [(5, 5)]);
    }

    #[test]
    fn a_wall_clock_that_was_set_gives_no_age() {
        let clock = Clock { instant: Instant::now(), unix: Duration::from_secs(1_000) };
        assert_eq!(clock.instant - clock.instant_of(Duration::from_millis(999_990)), Duration::from_millis(10));
        assert_eq!(clock.instant_of(Duration::from_secs(1_001)), clock.instant);
        assert_eq!(clock.instant_of(Duration::from_secs(1)), clock.instant);
    }
}
