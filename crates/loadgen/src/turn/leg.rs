//! Between the clients and the server: datagrams or connections.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::datagrams::{Datagrams, Hosts};
use super::streams::Stream;
use super::{PrepareRequest, Transport};
use crate::Failure;

/// All clients' way to the server. Clients are numbered from 0.
pub(crate) enum Leg {
    Datagrams { server: SocketAddr, datagrams: Box<Datagrams> },
    Streams(Vec<Stream>),
}

impl Leg {
    /// Binds, and connects where there is something to connect.
    pub(crate) fn open(request: &PrepareRequest) -> Result<Self, Failure> {
        let (server, hosts) = (request.server, Hosts::new(request.clients, request.count));
        if request.transport == Transport::Udp {
            let datagrams = Box::new(Datagrams::bind(hosts, request.gro)?);
            return Ok(Self::Datagrams { server, datagrams });
        }
        let tls = request.transport == Transport::Tls;
        let streams = (0..request.count).map(|index| Stream::connect(hosts.host(index), server, tls));
        Ok(Self::Streams(streams.collect::<Result<_, _>>()?))
    }

    /// Queues a message of a client that is `len` bytes long and that `write` fills in.
    pub(crate) fn queue(&mut self, client: usize, len: usize, write: impl FnOnce(&mut [u8])) {
        match self {
            Self::Datagrams { server, datagrams } => {
                write(datagrams.reserve(client, *server, len));
                datagrams.commit(len);
            }
            Self::Streams(streams) => {
                write(streams[client].reserve(len));
                streams[client].commit();
            }
        }
    }

    /// Sends what is queued, as far as the kernel takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Datagrams { datagrams, .. } => datagrams.flush(),
            Self::Streams(streams) => streams.iter_mut().try_for_each(Stream::flush)?,
        }
        Ok(())
    }

    /// Whether a client has to wait until the server has taken what it sent before.
    pub(crate) fn is_backed_up(&self, client: usize) -> bool {
        matches!(self, Self::Streams(streams) if streams[client].is_backed_up())
    }

    /// Hands over messages that have arrived: client, when, bytes. False when nothing more waits.
    pub(crate) fn receive(&mut self, take: &mut impl FnMut(usize, Instant, &[u8])) -> io::Result<bool> {
        match self {
            Self::Datagrams { datagrams, .. } => datagrams.receive(take),
            Self::Streams(streams) => {
                let mut more = false;
                for (client, stream) in streams.iter_mut().enumerate() {
                    more |= stream.receive(|message| take(client, Instant::now(), message))?;
                }
                Ok(more)
            }
        }
    }

    /// Datagrams that came while our receive buffer was full.
    pub(crate) fn drops(&self) -> u64 {
        match self {
            Self::Datagrams { datagrams, .. } => datagrams.drops(),
            Self::Streams(_) => 0,
        }
    }
}
