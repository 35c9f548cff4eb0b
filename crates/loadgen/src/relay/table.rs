//! Who relays what: the listener, and an allocation for each client with its socket and its one channel.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::SockRef;

/// All allocations. They are never removed: the process ends with the measurement.
pub(crate) struct Table {
    pub(crate) listener: UdpSocket,
    pub(crate) by_client: HashMap<SocketAddr, usize>,
    pub(crate) allocations: Vec<Allocation>,
}

/// What a client has.
pub(crate) struct Allocation {
    pub(crate) client: SocketAddr,
    pub(crate) relayed: UdpSocket,
    pub(crate) channel: Option<Channel>,
}

/// What its client bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel {
    pub(crate) number: u16,
    pub(crate) peer: SocketAddr,
}

impl Table {
    pub(crate) fn new(listener: UdpSocket) -> Self {
        Self { listener, by_client: HashMap::new(), allocations: Vec::new() }
    }

    pub(crate) fn allocation_of(&self, client: &SocketAddr) -> Option<usize> {
        self.by_client.get(client).copied()
    }

    /// An allocation for a client that has none, by a socket of this host.
    pub(crate) fn add(&mut self, client: SocketAddr, host: SocketAddr) -> io::Result<usize> {
        let index = self.allocations.len();
        self.allocations.push(Allocation { client, relayed: bind(host)?, channel: None });
        self.by_client.insert(client, index);
        Ok(index)
    }
}

/// A socket that does not block, with a receive buffer as large as the system grants.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    Ok(socket)
}

const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
