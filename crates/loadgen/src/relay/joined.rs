//! `recvmmsg` with GRO, and GSO for what goes to the same place in a row. By `quinn-udp`, so that the floor shares no code
//! with the engine.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};

use netio::Poller;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use wire::channeldata::{self, HEADER_LEN};

use super::answer::answer;
use super::table::Table;
use crate::Failure;

/// Buffers of a batch, and what quinn keeps for each socket.
pub(crate) struct Joined {
    slab: Box<[u8]>,
    metas: [RecvMeta; BATCH_SIZE],
    run: Run,
    listener: UdpSocketState,
    /// By allocation.
    relayed: Vec<UdpSocketState>,
}

/// Packets that leave in one message: all of one size, but for the last, which may be shorter.
struct Run {
    bytes: Vec<u8>,
    destination: SocketAddr,
    segment: usize,
    count: usize,
}

impl Joined {
    pub(crate) fn new(listener: &UdpSocket) -> io::Result<Self> {
        Ok(Self {
            slab: vec![0; BATCH_SIZE * MESSAGE_BYTES].into(),
            metas: [RecvMeta::default(); BATCH_SIZE],
            run: Run {
                bytes: Vec::with_capacity(MESSAGE_BYTES),
                destination: listener.local_addr()?,
                segment: 0,
                count: 0,
            },
            listener: UdpSocketState::new(listener.into())?,
            relayed: Vec::new(),
        })
    }

    pub(crate) fn move_from_clients(&mut self, table: &mut Table, poller: &Poller) -> Result<(), Failure> {
        let Ok(count) = receive(&self.listener, &table.listener, &mut self.slab, &mut self.metas) else {
            return Ok(());
        };
        let mut from = None;
        for (message, meta) in self.slab.chunks_exact(MESSAGE_BYTES).zip(&self.metas).take(count) {
            for packet in message[..meta.len].chunks(meta.stride.max(1)) {
                let Ok((number, data)) = channeldata::parse(packet) else {
                    answer(table, poller, meta.addr, packet)?;
                    continue;
                };
                let Some(index) = table.allocation_of(&meta.addr) else { continue };
                let allocation = &table.allocations[index];
                let Some(channel) = allocation.channel.filter(|channel| channel.number == number) else { continue };
                if from != Some(index) || !self.run.takes(channel.peer, data.len()) {
                    send(
                        &mut self.run,
                        from.map(|from: usize| (&self.relayed[from], &table.allocations[from].relayed)),
                    );
                    self.run.start(channel.peer, data.len());
                    from = Some(index);
                }
                self.run.push(&[], data);
            }
        }
        send(&mut self.run, from.map(|from| (&self.relayed[from], &table.allocations[from].relayed)));
        for allocation in &table.allocations[self.relayed.len()..] {
            self.relayed.push(UdpSocketState::new((&allocation.relayed).into())?);
        }
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps)] // as its sibling
    pub(crate) fn move_from_peers(&mut self, table: &mut Table, index: usize) -> Result<(), Failure> {
        let allocation = &table.allocations[index];
        let Ok(count) = receive(&self.relayed[index], &allocation.relayed, &mut self.slab, &mut self.metas) else {
            return Ok(());
        };
        let by = Some((&self.listener, &table.listener));
        for (message, meta) in self.slab.chunks_exact(MESSAGE_BYTES).zip(&self.metas).take(count) {
            let Some(channel) = allocation.channel.filter(|channel| channel.peer == meta.addr) else { continue };
            for data in message[..meta.len].chunks(meta.stride.max(1)) {
                if !self.run.takes(allocation.client, HEADER_LEN + data.len()) {
                    send(&mut self.run, by);
                    self.run.start(allocation.client, HEADER_LEN + data.len());
                }
                let ([high, low], [long, short]) = (channel.number.to_be_bytes(), (data.len() as u16).to_be_bytes());
                self.run.push(&[high, low, long, short], data);
            }
        }
        send(&mut self.run, by);
        Ok(())
    }
}

impl Run {
    fn takes(&self, destination: SocketAddr, len: usize) -> bool {
        self.count > 0
            && self.count < MAX_SEGMENTS
            && self.destination == destination
            && len <= self.segment
            && self.bytes.len() == self.count * self.segment
            && self.bytes.len() + len <= MAX_RUN_BYTES
    }

    fn start(&mut self, destination: SocketAddr, segment: usize) {
        (self.destination, self.segment) = (destination, segment);
    }

    fn push(&mut self, header: &[u8], data: &[u8]) {
        self.bytes.extend_from_slice(header);
        self.bytes.extend_from_slice(data);
        self.count += 1;
    }
}

fn receive(
    state: &UdpSocketState,
    socket: &UdpSocket,
    slab: &mut [u8],
    metas: &mut [RecvMeta; BATCH_SIZE],
) -> io::Result<usize> {
    let mut slots = slab.chunks_exact_mut(MESSAGE_BYTES);
    let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
        std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
    state.recv(socket.into(), &mut buffers, metas)
}

/// Sends the run, if there is one, and empties it.
fn send(run: &mut Run, by: Option<(&UdpSocketState, &UdpSocket)>) {
    if let (Some((state, socket)), 1..) = (by, run.count) {
        let transmit = Transmit {
            destination: run.destination,
            ecn: None,
            contents: &run.bytes,
            segment_size: (run.count > 1).then_some(run.segment),
            src_ip: None,
        };
        // What the kernel does not take is lost, and shows as loss.
        let _ = state.try_send(socket.into(), &transmit);
    }
    run.bytes.clear();
    run.count = 0;
}

/// The largest that GRO joins.
const MESSAGE_BYTES: usize = 1 << 16;
/// `UDP_MAX_SEGMENTS` of kernels before 6.9.
const MAX_SEGMENTS: usize = 64;
/// The largest UDP payload over IPv4.
const MAX_RUN_BYTES: usize = 65_507;
