//! From ids, addresses and ufrags to indices. Keyed hashes, looked up once per datagram or command.

use std::collections::HashMap;

use crate::{ConsumerId, Path, PathProtocol, ProducerId, TransportId};
use slots::Index;

#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) transports: HashMap<TransportId, Index>,
    pub(super) producers: HashMap<ProducerId, Index>,
    pub(super) consumers: HashMap<ConsumerId, Index>,
    paths: HashMap<Path, Index>,
    ufrags: HashMap<String, Index>,
    /// TCP paths that belong to nobody any more.
    released: Vec<Path>,
}

impl Names {
    /// Whose path this is. Only paths with a verified check are known.
    #[inline]
    pub(super) fn path(&self, path: Path) -> Option<Index> {
        self.paths.get(&path).copied()
    }

    pub(super) fn ufrag(&self, ufrag: &str) -> Option<Index> {
        self.ufrags.get(ufrag).copied()
    }

    /// A check from this path verified: it belongs to that transport now, whoever had it before.
    pub(super) fn learn_path(&mut self, path: Path, at: Index) {
        self.paths.insert(path, at);
    }

    pub(super) fn forget_path(&mut self, path: Path, at: Index) {
        if self.path(path) == Some(at) {
            self.paths.remove(&path);
            if path.protocol == PathProtocol::Tcp {
                self.released.push(path);
            }
        }
    }

    /// A TCP path whose connection is of no use any more.
    pub(super) fn poll_released(&mut self) -> Option<Path> {
        while let Some(path) = self.released.pop() {
            if !self.paths.contains_key(&path) {
                return Some(path);
            }
        }
        None
    }

    pub(super) fn learn_ufrag(&mut self, ufrag: &str, at: Index) {
        self.ufrags.insert(ufrag.to_owned(), at);
    }

    pub(super) fn forget_ufrag(&mut self, ufrag: &str, at: Index) {
        if self.ufrag(ufrag) == Some(at) {
            self.ufrags.remove(ufrag);
        }
    }
}
