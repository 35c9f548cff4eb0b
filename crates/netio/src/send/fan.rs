//! A send queue for sockets that come and go, one lane each. What waits on a lane is put in the order of its destinations before
//! it is sent, so that a client's packets leave as one message however many others' came in between.
#![allow(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::ptr;
use std::sync::Arc;

use super::{GSO_REFUSALS, MAX_RUN_BYTES, MAX_SEGMENTS, PlainRoutes, SendCounters};
use crate::UdpSocket;
use crate::address::RawAddress;
use crate::control::{ControlBuffer, empty_message};
use crate::socket::check;

/// Datagrams on their way out. What the kernel does not take at once is dropped: whoever relays does not store.
pub struct FanQueue {
    lanes: Vec<Option<Lane>>,
    /// Lanes with something to send.
    dirty: Vec<usize>,
    slab: Box<[u8]>,
    used: usize,
    reserved: Option<Reserved>,
    /// Where datagrams are written that will not be sent.
    spare: Box<[u8]>,
    plain: PlainRoutes,
    batch: Batch,
    counters: SendCounters,
}

struct Lane {
    socket: Arc<UdpSocket>,
    waiting: Vec<Waiting>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    local: SocketAddr,
    remote: SocketAddr,
    start: usize,
    len: usize,
}

struct Reserved {
    lane: usize,
    local: SocketAddr,
    remote: SocketAddr,
    max_len: usize,
}

impl FanQueue {
    /// Without lanes. Takes 1 MiB.
    pub fn new() -> Self {
        Self {
            lanes: Vec::new(),
            dirty: Vec::new(),
            slab: vec![0; SLAB_BYTES].into(),
            used: 0,
            reserved: None,
            spare: vec![0; MAX_DATAGRAM].into(),
            plain: PlainRoutes::default(),
            batch: Batch::new(),
            counters: SendCounters::default(),
        }
    }

    /// Sends what is reserved for `lane` by this socket. Lanes are small numbers: there is a table of them.
    pub fn open(&mut self, lane: usize, socket: Arc<UdpSocket>) {
        if self.lanes.len() <= lane {
            self.lanes.resize_with(lane + 1, || None);
        }
        self.lanes[lane] = Some(Lane { socket, waiting: Vec::new() });
    }

    /// What waits on it is lost.
    pub fn close(&mut self, lane: usize) {
        if let Some(slot) = self.lanes.get_mut(lane) {
            *slot = None;
        }
        self.dirty.retain(|dirty| *dirty != lane);
    }

    /// Room for one datagram of at most `max_len` bytes (65,535 at most) from `local` to `remote`. Write it, then `commit` its
    /// length; a second `reserve` without that takes the room back.
    pub fn reserve(&mut self, lane: usize, local: SocketAddr, remote: SocketAddr, max_len: usize) -> &mut [u8] {
        let max_len = max_len.min(MAX_DATAGRAM);
        if self.used + max_len > self.slab.len() {
            self.flush();
        }
        if !self.lanes.get(lane).is_some_and(Option::is_some) {
            self.reserved = None;
            return &mut self.spare[..max_len];
        }
        self.reserved = Some(Reserved { lane, local, remote, max_len });
        &mut self.slab[self.used..self.used + max_len]
    }

    /// Queues what was written into the last `reserve`: its first `len` bytes.
    pub fn commit(&mut self, len: usize) {
        let Some(Reserved { lane, local, remote, max_len }) = self.reserved.take() else {
            self.counters.overflow += 1;
            return;
        };
        assert!(len <= max_len, "committed more than was reserved");
        let Some(open) = self.lanes[lane].as_mut() else { return };
        if open.waiting.is_empty() {
            self.dirty.push(lane);
        }
        open.waiting.push(Waiting { local, remote, start: self.used, len });
        self.used += len;
    }

    /// The same, when the datagram is not complete yet: `complete` gets the whole room and gives the datagram's length. 0 when
    /// the datagram goes nowhere.
    pub fn commit_with(&mut self, complete: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let Some(max_len) = self.reserved.as_ref().map(|reserved| reserved.max_len) else {
            self.counters.overflow += 1;
            return 0;
        };
        let len = complete(&mut self.slab[self.used..self.used + max_len]);
        self.commit(len);
        len
    }

    /// Queues a datagram of exactly `len` bytes, to be written at once into the room that is given.
    pub fn push(&mut self, lane: usize, local: SocketAddr, remote: SocketAddr, len: usize) -> &mut [u8] {
        let start = self.reserve(lane, local, remote, len).len();
        debug_assert!(start == len.min(MAX_DATAGRAM));
        if self.reserved.is_none() {
            self.counters.overflow += 1;
            return &mut self.spare[..len.min(MAX_DATAGRAM)];
        }
        let at = self.used;
        self.commit(len.min(MAX_DATAGRAM));
        &mut self.slab[at..self.used]
    }

    /// Sends everything.
    pub fn flush(&mut self) {
        while let Some(lane) = self.dirty.pop() {
            let Some(lane) = self.lanes[lane].as_mut() else { continue };
            lane.arrange();
            self.batch.send_all(&lane.socket, &self.slab, &lane.waiting, &mut self.plain, &mut self.counters);
            if lane.waiting.len() < lane.waiting.capacity() / 8 {
                lane.waiting.shrink_to(KEPT_WAITING);
            }
            lane.waiting.clear();
        }
        self.used = 0;
        self.reserved = None;
    }

    /// What was sent so far.
    pub fn counters(&self) -> SendCounters {
        self.counters
    }
}

impl Default for FanQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Lane {
    /// Stable: nobody's packets overtake each other. Most lanes have one destination, and are in order.
    fn arrange(&mut self) {
        let first = self.waiting.first().map(|waiting| waiting.remote);
        if self.waiting.iter().any(|waiting| Some(waiting.remote) != first) {
            self.waiting.sort_by_key(|waiting| (waiting.remote, waiting.local));
        }
    }
}

/// How many of `waiting` leave as one message: one path, one size, of which only the last may be smaller.
fn run_length(waiting: &[Waiting], joined: bool) -> usize {
    let first = waiting[0];
    if !joined {
        return 1;
    }
    let (mut count, mut bytes) = (1, first.len);
    for (before, next) in waiting.iter().zip(&waiting[1..]) {
        let fits = (next.remote, next.local) == (first.remote, first.local)
            && before.len == first.len
            && next.len <= first.len
            && next.len > 0
            && count < MAX_SEGMENTS
            && bytes + next.len <= MAX_RUN_BYTES;
        if !fits {
            break;
        }
        count += 1;
        bytes += next.len;
    }
    count
}

/// The C structs of one call, reused.
struct Batch {
    names: Box<[RawAddress]>,
    controls: Box<[ControlBuffer]>,
    vectors: Vec<libc::iovec>,
    headers: Box<[libc::mmsghdr]>,
    /// Of each message: how many datagrams.
    counts: Vec<usize>,
}

impl Batch {
    fn new() -> Self {
        Self {
            names: vec![RawAddress::empty(); MAX_MESSAGES].into(),
            controls: vec![ControlBuffer::empty(); MAX_MESSAGES].into(),
            vectors: Vec::with_capacity(MAX_VECTORS),
            headers: vec![empty_message(); MAX_MESSAGES].into(),
            counts: Vec::with_capacity(MAX_MESSAGES),
        }
    }

    fn send_all(
        &mut self,
        socket: &UdpSocket,
        slab: &[u8],
        mut waiting: &[Waiting],
        plain: &mut PlainRoutes,
        counters: &mut SendCounters,
    ) {
        while !waiting.is_empty() {
            self.aim(socket, slab, waiting, plain);
            counters.calls += 1;
            match self.send(socket) {
                Ok(messages) => {
                    let sent: usize = self.counts[..messages].iter().sum();
                    counters.messages += messages as u64;
                    counters.datagrams += sent as u64;
                    counters.bytes += waiting[..sent].iter().map(|waiting| waiting.len as u64).sum::<u64>();
                    waiting = &waiting[sent..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    counters.overflow += waiting.len() as u64;
                    return;
                }
                // The next time around its datagrams go one by one.
                Err(error)
                    if self.counts[0] > 1 && error.raw_os_error().is_some_and(|code| GSO_REFUSALS.contains(&code)) =>
                {
                    plain.insert(&waiting[0].remote);
                    counters.fallbacks += 1;
                }
                Err(_) => {
                    counters.errors += self.counts[0] as u64;
                    waiting = &waiting[self.counts[0]..];
                }
            }
        }
    }

    /// Points the headers at as many runs as fit.
    fn aim(&mut self, socket: &UdpSocket, slab: &[u8], waiting: &[Waiting], plain: &PlainRoutes) {
        self.counts.clear();
        self.vectors.clear();
        let mut rest = waiting;
        while !rest.is_empty() && self.counts.len() < MAX_MESSAGES && self.vectors.len() + MAX_SEGMENTS <= MAX_VECTORS {
            let joined = socket.supports_gso() && !plain.contains(&rest[0].remote);
            let (run, behind) = rest.split_at(run_length(rest, joined));
            let first_vector = self.vectors.len();
            self.gather(slab, run, first_vector);
            let number = self.counts.len();
            let leave_from = socket.is_wildcard().then_some(run[0].local);
            let segment = (run.len() > 1).then_some(run[0].len as u16);
            let header = &mut self.headers[number].msg_hdr;
            header.msg_namelen = self.names[number].set(&run[0].remote);
            header.msg_name = ptr::from_mut(&mut self.names[number]).cast();
            // The vectors never move: there is room for all from the start.
            header.msg_iov = self.vectors[first_vector..].as_mut_ptr();
            header.msg_iovlen = (self.vectors.len() - first_vector) as _;
            header.msg_controllen = self.controls[number].write_send(leave_from, segment) as _;
            header.msg_control =
                if header.msg_controllen == 0 { ptr::null_mut() } else { self.controls[number].as_mut_ptr() };
            self.counts.push(run.len());
            rest = behind;
        }
    }

    /// One vector per piece of the slab: neighbours share theirs.
    fn gather(&mut self, slab: &[u8], run: &[Waiting], first_vector: usize) {
        let mut end = usize::MAX;
        for waiting in run {
            let bytes = &slab[waiting.start..waiting.start + waiting.len];
            match self.vectors[first_vector..].last_mut() {
                Some(vector) if end == waiting.start => vector.iov_len += bytes.len(),
                _ => {
                    let vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
                    self.vectors.push(vector);
                }
            }
            end = waiting.start + waiting.len;
        }
    }

    fn send(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        // SAFETY: `aim` pointed the first `counts.len()` headers just now at the slab, which the kernel only reads, and at
        // arrays of ours; all live through the call.
        let sent = check(unsafe {
            libc::sendmmsg(
                socket.raw_fd(),
                self.headers.as_mut_ptr(),
                self.counts.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        })?;
        Ok(sent as usize)
    }
}

// SAFETY: the pointers in a batch are written and read within one call of `send_all`; between calls nobody follows them.
unsafe impl Send for Batch {}

const MAX_DATAGRAM: usize = 65_535;
const SLAB_BYTES: usize = 1 << 20;
const MAX_MESSAGES: usize = 64;
/// Room for sixteen runs in as many pieces as they can have.
const MAX_VECTORS: usize = 1024;
/// A lane whose burst is over gives the memory back; there may be thousands of them.
const KEPT_WAITING: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn queue_with_socket() -> (FanQueue, SocketAddr) {
        let socket = UdpSocket::bind(address(0)).expect("loopback");
        let local = socket.local_address();
        let mut queue = FanQueue::new();
        queue.open(3, Arc::new(socket));
        (queue, local)
    }

    fn receiver() -> std::net::UdpSocket {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("an option of every socket");
        socket
    }

    fn received(socket: &std::net::UdpSocket, count: usize) -> Vec<Vec<u8>> {
        let mut buffer = [0; 2048];
        let mut all = Vec::new();
        for _ in 0..count {
            let len = socket.recv(&mut buffer).expect("it arrives");
            all.push(buffer[..len].to_vec());
        }
        all
    }

    #[test]
    fn interleaved_destinations_leave_as_one_message_each_and_in_order() {
        let (mut queue, local) = queue_with_socket();
        let receivers: Vec<_> = (0..3).map(|_| receiver()).collect();
        for number in 0..5_u8 {
            for receiver in &receivers {
                let remote = receiver.local_addr().expect("bound");
                queue.push(3, local, remote, 900).fill(number);
            }
        }
        queue.flush();
        let counters = queue.counters();
        assert_eq!((counters.datagrams, counters.bytes, counters.messages, counters.calls), (15, 15 * 900, 3, 1));
        for receiver in &receivers {
            let numbers: Vec<_> = received(receiver, 5).iter().map(|datagram| (datagram.len(), datagram[0])).collect();
            assert_eq!(numbers, [(900, 0), (900, 1), (900, 2), (900, 3), (900, 4)]);
        }
    }

    #[test]
    fn a_run_is_one_path_and_one_size_that_a_shorter_one_ends() {
        let waiting = |port, len| Waiting { local: address(1), remote: address(port), start: 0, len };
        let all = [waiting(1, 9), waiting(1, 9), waiting(1, 3), waiting(1, 3), waiting(2, 3), waiting(2, 0)];
        assert_eq!(run_length(&all, true), 3);
        assert_eq!(run_length(&all, false), 1);
        assert_eq!(run_length(&all[3..], true), 1);
        assert_eq!(run_length(&all[4..], true), 1);
        let many = [waiting(1, 100); 200];
        assert_eq!(run_length(&many, true), MAX_SEGMENTS);
        assert_eq!(run_length(&[waiting(1, 1400); 60], true), MAX_RUN_BYTES / 1400);
    }

    #[test]
    fn what_is_committed_shorter_than_reserved_is_sent_shorter_and_what_is_forgotten_is_not_sent() {
        let (mut queue, local) = queue_with_socket();
        let receiver = receiver();
        let remote = receiver.local_addr().expect("bound");
        queue.reserve(3, local, remote, 100).fill(1);
        queue.reserve(3, local, remote, 100).fill(2);
        queue.commit(10);
        queue.flush();
        assert_eq!(received(&receiver, 1), [vec![2; 10]]);
        assert_eq!(queue.counters().datagrams, 1);
    }

    #[test]
    fn without_a_lane_datagrams_lead_nowhere_and_are_counted() {
        let (mut queue, local) = queue_with_socket();
        queue.push(3, local, address(9), 10).fill(1);
        queue.close(3);
        queue.push(3, local, address(9), 10).fill(1);
        queue.reserve(99, local, address(9), 10).fill(1);
        queue.commit(10);
        queue.flush();
        assert_eq!((queue.counters().datagrams, queue.counters().overflow), (0, 2));
    }

    #[test]
    fn more_than_the_slab_holds_is_sent_in_between() {
        let (mut queue, local) = queue_with_socket();
        let receiver = receiver();
        let remote = receiver.local_addr().expect("bound");
        for _ in 0..1_000 {
            queue.push(3, local, remote, 1_200).fill(7);
        }
        queue.flush();
        assert_eq!(queue.counters().datagrams, 1_000);
    }

    #[test]
    fn a_refused_datagram_stops_nobody_else() {
        let (mut queue, local) = queue_with_socket();
        let receiver = receiver();
        queue.push(3, local, ([255, 255, 255, 255], 9).into(), 10).fill(1);
        queue.push(3, local, receiver.local_addr().expect("bound"), 10).fill(2);
        queue.flush();
        assert_eq!(received(&receiver, 1), [vec![2; 10]]);
        assert_eq!(queue.counters().errors, 1);
    }
}
