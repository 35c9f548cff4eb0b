//! The socket of one peer connection. Each has its own, as clients have.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use netio::UdpSocket;

/// A bound socket that takes every datagram alone, as browsers do: without GRO, splitting what was joined is the sender's cost.
pub(crate) struct Endpoint {
    socket: UdpSocket,
}

impl Endpoint {
    /// On the address from which `server` is reached; readable under `token`.
    pub(crate) fn open(server: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let anywhere = match server {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let route = std::net::UdpSocket::bind(anywhere)?;
        route.connect(server)?;
        let socket = UdpSocket::bind(SocketAddr::new(route.local_addr()?.ip(), 0))?;
        socket.set_gro(false)?;
        registry.register(&mut SourceFd(&socket.as_fd().as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { socket })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.socket.local_address()
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// What the kernel does not take is lost, as it might be on the way.
    pub(crate) fn send(&self, datagram: &[u8], remote: SocketAddr) {
        let _ = self.socket.send_to(datagram, remote);
    }

    /// Datagrams that came while the receive buffer was full.
    pub(crate) fn drops(&self) -> u64 {
        self.socket.kernel_drops()
    }
}
