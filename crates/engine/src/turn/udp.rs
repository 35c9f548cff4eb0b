//! TURN's UDP sockets: listeners, named by their place, and relay sockets, named by the relay.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use netio::{FanQueue, Interest, Poller, UdpSocket};
use relay::{ClientTransport, SocketId};

use super::TurnListen;

/// Listeners come first among the lanes and tokens, relay sockets behind them.
pub(super) struct Sockets {
    listeners: Vec<Option<Listener>>,
    relays: Vec<Option<Arc<UdpSocket>>>,
    open_relays: u64,
    /// Of sockets that are closed.
    former_drops: u64,
}

struct Listener {
    /// As configured: its port may be 0.
    listen: TurnListen,
    socket: Arc<UdpSocket>,
}

/// What a poller's token stands for.
pub(super) enum Source {
    Listener(Arc<UdpSocket>),
    Relay(SocketId, Arc<UdpSocket>),
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self { listeners: Vec::new(), relays: Vec::new(), open_relays: 0, former_drops: 0 }
    }

    /// Gives up listeners that are not among `listen`. Their ports are free when nobody holds the sockets any more.
    pub(super) fn retain(
        &mut self,
        poller: &Poller,
        queue: &mut FanQueue,
        listen: &[TurnListen],
    ) -> Vec<Arc<UdpSocket>> {
        let mut given_up = Vec::new();
        for (lane, slot) in self.listeners.iter_mut().enumerate() {
            if let Some(open) = slot.take_if(|open| !listen.contains(&open.listen)) {
                // Whoever still holds it keeps it open, but its readiness concerns nobody.
                let _ = poller.remove(open.socket.as_ref());
                queue.close(lane);
                self.former_drops += open.socket.kernel_drops();
                given_up.push(open.socket);
            }
        }
        given_up
    }

    /// Opens listeners that are not open; gives those that failed.
    pub(super) fn open(
        &mut self,
        poller: &Poller,
        queue: &mut FanQueue,
        listen: &[TurnListen],
    ) -> Vec<(TurnListen, String)> {
        let mut failed = Vec::new();
        for listen in listen.iter().filter(|listen| listen.transport == ClientTransport::Udp) {
            if self.listeners.iter().flatten().any(|open| open.listen == *listen) {
                continue;
            }
            if let Err(error) = self.open_listener(poller, queue, *listen) {
                failed.push((*listen, error.to_string()));
            }
        }
        failed
    }

    fn open_listener(&mut self, poller: &Poller, queue: &mut FanQueue, listen: TurnListen) -> io::Result<()> {
        let free = self.listeners.iter().position(Option::is_none).unwrap_or(self.listeners.len());
        if free >= MAX_LISTENERS {
            return Err(io::Error::other("too many listeners"));
        }
        let socket = Arc::new(UdpSocket::bind(listen.address)?);
        poller.add(socket.as_ref(), free as u64, Interest::Read)?;
        queue.open(free, Arc::clone(&socket));
        if free == self.listeners.len() {
            self.listeners.push(None);
        }
        self.listeners[free] = Some(Listener { listen, socket });
        Ok(())
    }

    pub(super) fn bind(
        &mut self,
        poller: &Poller,
        queue: &mut FanQueue,
        id: SocketId,
        address: SocketAddr,
        dont_fragment: bool,
    ) -> io::Result<()> {
        let socket = UdpSocket::bind(address)?;
        if dont_fragment {
            socket.set_dont_fragment()?;
        }
        let (socket, index) = (Arc::new(socket), id.0 as usize);
        poller.add(socket.as_ref(), lane(id) as u64, Interest::Read)?;
        queue.open(lane(id), Arc::clone(&socket));
        if self.relays.len() <= index {
            self.relays.resize_with(index + 1, || None);
        }
        self.open_relays += u64::from(self.relays[index].is_none());
        self.relays[index] = Some(socket);
        Ok(())
    }

    pub(super) fn close(&mut self, queue: &mut FanQueue, id: SocketId) {
        queue.close(lane(id));
        if let Some(socket) = self.relays.get_mut(id.0 as usize).and_then(Option::take) {
            self.open_relays -= 1;
            self.former_drops += socket.kernel_drops();
        }
    }

    pub(super) fn source(&self, token: u64) -> Option<Source> {
        let index = token as usize;
        if index < MAX_LISTENERS {
            return self.listeners.get(index)?.as_ref().map(|open| Source::Listener(Arc::clone(&open.socket)));
        }
        let id = index - MAX_LISTENERS;
        self.relays.get(id)?.as_ref().map(|socket| Source::Relay(SocketId(id as u32), Arc::clone(socket)))
    }

    /// The lane of the listener that a client's address was contacted at.
    pub(super) fn listener_lane(&self, local: &SocketAddr) -> Option<usize> {
        self.listeners.iter().position(|open| open.as_ref().is_some_and(|open| open.socket.serves(local)))
    }

    pub(super) fn relay(&self, id: SocketId) -> Option<&Arc<UdpSocket>> {
        self.relays.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = &Arc<UdpSocket>> {
        self.listeners.iter().flatten().map(|open| &open.socket)
    }

    pub(super) fn open_relays(&self) -> u64 {
        self.open_relays
    }

    /// What the kernel dropped before anybody saw it, of all sockets that there ever were.
    pub(super) fn kernel_drops(&self) -> u64 {
        let open = self.listeners().chain(self.relays.iter().flatten());
        self.former_drops + open.map(|socket| socket.kernel_drops()).sum::<u64>()
    }
}

/// Of a relay socket: its lane in the send queue, and its token.
pub(super) fn lane(id: SocketId) -> usize {
    MAX_LISTENERS + id.0 as usize
}

/// More than anybody configures: a few ports on each of a machine's addresses.
const MAX_LISTENERS: usize = 64;
