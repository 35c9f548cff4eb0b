//! The channels of one allocation, found by number and by peer. Few, as a rule, and small then; quick with 256 of them, too.

use std::net::SocketAddr;

use crate::acl;
use crate::allocation::Target;

/// One channel binding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel {
    pub(crate) number: u16,
    pub(crate) peer: SocketAddr,
    /// Where its data goes now.
    pub(crate) target: Target,
    /// Whether its peer has been paid for as a new one.
    pub(crate) known: bool,
}

/// Sorted by number, and numbers by peer.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    channels: Vec<Channel>,
    by_peer: Vec<(PeerKey, u16)>,
}

impl Channels {
    #[inline]
    pub(crate) fn get(&self, number: u16) -> Option<&Channel> {
        self.find(number).ok().map(|at| &self.channels[at])
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u16) -> Option<&mut Channel> {
        self.find(number).ok().map(|at| &mut self.channels[at])
    }

    #[inline]
    pub(crate) fn of_peer(&self, peer: SocketAddr) -> Option<&Channel> {
        let at = self.find_peer(peer).ok()?;
        self.get(self.by_peer[at].1)
    }

    /// Takes the place of whatever had this number or this peer.
    pub(crate) fn insert(&mut self, number: u16, peer: SocketAddr) {
        if self.get(number).is_some_and(|channel| channel.peer == peer) {
            return;
        }
        self.remove(number);
        if let Ok(at) = self.find_peer(peer) {
            self.remove(self.by_peer[at].1);
        }
        let channel = Channel { number, peer, target: Target::NotPermitted, known: false };
        if let (Err(at), Err(at_peer)) = (self.find(number), self.find_peer(peer)) {
            insert_tightly(&mut self.channels, at, channel);
            insert_tightly(&mut self.by_peer, at_peer, (key(peer), number));
        }
    }

    pub(crate) fn remove(&mut self, number: u16) -> Option<Channel> {
        let channel = self.channels.remove(self.find(number).ok()?);
        if let Ok(at) = self.find_peer(channel.peer) {
            self.by_peer.remove(at);
        }
        Some(channel)
    }

    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.channels.iter_mut()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.channels.capacity() * size_of::<Channel>() + self.by_peer.capacity() * size_of::<(PeerKey, u16)>()
    }

    #[inline]
    fn find(&self, number: u16) -> Result<usize, usize> {
        self.channels.binary_search_by_key(&number, |channel| channel.number)
    }

    #[inline]
    fn find_peer(&self, peer: SocketAddr) -> Result<usize, usize> {
        self.by_peer.binary_search_by_key(&key(peer), |(key, _)| *key)
    }
}

/// Compares faster than an address does.
type PeerKey = (u128, u16);

#[inline]
fn key(peer: SocketAddr) -> PeerKey {
    (acl::number(peer.ip()), peer.port())
}

/// As `insert`, but the first one does not make room for four.
pub(crate) fn insert_tightly<T>(entries: &mut Vec<T>, at: usize, entry: T) {
    if entries.is_empty() {
        entries.reserve_exact(1);
    }
    entries.insert(at, entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    #[test]
    fn numbers_and_peers_find_each_other() {
        let mut channels = Channels::default();
        for number in 0..256 {
            channels.insert(0x4000 + (number * 7) % 256, peer(number));
        }
        for number in 0..256 {
            assert_eq!(channels.get(0x4000 + (number * 7) % 256).unwrap().peer, peer(number));
            assert_eq!(channels.of_peer(peer(number)).unwrap().number, 0x4000 + (number * 7) % 256);
        }
        assert!(channels.get(0x4100).is_none());
        assert!(channels.of_peer(peer(256)).is_none());
    }

    #[test]
    fn whoever_comes_later_takes_the_place() {
        let mut channels = Channels::default();
        channels.insert(0x4000, peer(1));
        channels.insert(0x4001, peer(2));
        channels.insert(0x4001, peer(1));
        assert_eq!((channels.len(), channels.by_peer.len()), (1, 1));
        assert!(channels.get(0x4000).is_none());
        assert_eq!(channels.of_peer(peer(1)).unwrap().number, 0x4001);
        assert_eq!(channels.remove(0x4001).unwrap().peer, peer(1));
        assert_eq!((channels.len(), channels.by_peer.len()), (0, 0));
    }
}
