//! Many addresses on one socket. Each client (or peer) has a host of its own in a network that is local as a whole, so that
//! the server sees as many 5-tuples as it would in life, while one system call of ours serves many of them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use netio::{Receiver, SendQueue, UdpSocket};

/// The hosts of clients 0, 1, 2 ...: neighbours are in different /24s, so that no limit per network meets them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hosts {
    network: u32,
    count: usize,
}

impl Hosts {
    /// `count` hosts in the /16 that starts at `network`.
    pub(crate) fn new(network: Ipv4Addr, count: usize) -> Self {
        Self { network: network.into(), count }
    }

    pub(crate) fn host(&self, index: usize) -> IpAddr {
        let (subnet, host) = (index % SUBNETS, index / SUBNETS + 1);
        Ipv4Addr::from(self.network + ((subnet << 8) + host) as u32).into()
    }

    pub(crate) fn index(&self, host: IpAddr) -> Option<usize> {
        let IpAddr::V4(host) = host else { return None };
        let offset = u32::from(host).checked_sub(self.network)? as usize;
        let index = (offset & 0xff).checked_sub(1)? * SUBNETS + (offset >> 8);
        (offset >> 8 < SUBNETS && index < self.count).then_some(index)
    }
}

/// A socket for all hosts, with what it sends and receives.
pub(crate) struct Datagrams {
    hosts: Hosts,
    sockets: Arc<[UdpSocket]>,
    queue: SendQueue,
    receiver: Receiver,
}

impl Datagrams {
    /// `gro` takes what the server joined as it is, as a network card would; without, splitting it is the server's cost.
    pub(crate) fn bind(hosts: Hosts, gro: bool) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
        socket.set_gro(gro)?;
        let sockets: Arc<[UdpSocket]> = Arc::new([socket]);
        Ok(Self { hosts, queue: SendQueue::new(Arc::clone(&sockets)), sockets, receiver: Receiver::new() })
    }

    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        SocketAddr::new(self.hosts.host(index), self.sockets[0].local_address().port())
    }

    /// Room for one datagram from host `index`; `commit` queues it. Equal ones in a row leave as one message (GSO).
    pub(crate) fn reserve(&mut self, index: usize, remote: SocketAddr, len: usize) -> &mut [u8] {
        self.queue.reserve(self.address(index), remote, len)
    }

    pub(crate) fn commit(&mut self, len: usize) {
        self.queue.commit(len);
    }

    /// Sends what is queued. On loopback the kernel always takes it.
    pub(crate) fn flush(&mut self) {
        self.queue.flush();
    }

    /// Hands over what has arrived, one batch at most: host, kernel's receive time, bytes. False when nothing more waits.
    pub(crate) fn receive(&mut self, take: &mut impl FnMut(usize, Instant, &[u8])) -> io::Result<bool> {
        for index in 0..self.receiver.receive(&self.sockets[0])? {
            let datagram = self.receiver.datagram(index);
            if let Some(host) = self.hosts.index(datagram.local.ip()) {
                take(host, datagram.received, datagram.bytes);
            }
        }
        Ok(self.receiver.is_full())
    }

    /// Datagrams that came while the receive buffer was full.
    pub(crate) fn drops(&self) -> u64 {
        self.sockets[0].kernel_drops()
    }
}

/// With 254 hosts each, more than a server has ports.
const SUBNETS: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_has_an_index_and_neighbours_are_in_different_subnets() {
        let hosts = Hosts::new(Ipv4Addr::new(10, 76, 0, 0), 1_000);
        for index in 0..1_000 {
            assert_eq!(hosts.index(hosts.host(index)), Some(index));
        }
        assert_eq!(hosts.host(0), IpAddr::from([10, 76, 0, 1]));
        assert_eq!(hosts.host(1), IpAddr::from([10, 76, 1, 1]));
        assert_eq!(hosts.host(999), IpAddr::from([10, 76, 249, 4]));
    }

    #[test]
    fn other_hosts_have_none() {
        let hosts = Hosts::new(Ipv4Addr::new(10, 76, 0, 0), 1_000);
        for other in [[10, 76, 0, 5], [10, 76, 250, 1], [10, 76, 3, 0], [10, 77, 0, 1], [10, 75, 255, 255]] {
            assert_eq!(hosts.index(IpAddr::from(other)), None, "{other:?}");
        }
    }
}
