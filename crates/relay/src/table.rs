//! Who is there: clients by 5-tuple and by id, allocations by id and by relayed address, relay sockets.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use crate::allocation::Allocation;
use crate::exchange::{CLIENT_ANSWERS_MAX, Exchange};
use crate::hash::HashKey;
use crate::{AllocationId, ClientAddress, ClientId, ConnectionId, Family, SocketId};
use slots::{Index, Slab};

/// A 5-tuple that has an allocation, waits for an answer or may ask for one again.
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) address: ClientAddress,
    pub(crate) allocation: Option<Allocation>,
    /// The oldest first.
    pub(crate) exchanges: Vec<Exchange>,
}

impl Client {
    /// Requests that the driver has not answered.
    pub(crate) fn waiting(&self) -> usize {
        self.exchanges.iter().filter(|exchange| exchange.is_waiting()).count()
    }

    /// Takes out the oldest answer, if there are more than we keep.
    pub(crate) fn take_surplus_answer(&mut self) -> Option<Exchange> {
        let answered = self.exchanges.len() - self.waiting();
        let oldest = self.exchanges.iter().position(|exchange| !exchange.is_waiting())?;
        (answered > CLIENT_ANSWERS_MAX).then(|| self.exchanges.remove(oldest))
    }
}

/// All of them. Keys that come from the network are hashed with a secret.
pub(crate) struct Table {
    clients: Slab<Client>,
    by_key: HashMap<ClientKey, Index, HashKey>,
    by_id: HashMap<ClientId, Index, HashKey>,
    allocations: HashMap<AllocationId, Index, HashKey>,
    relayed: HashMap<SocketAddr, Index, HashKey>,
    sockets: Slab<(Index, Family)>,
    hash: HashKey,
    next_id: u64,
}

impl Table {
    pub(crate) fn new(hash: HashKey) -> Self {
        Self {
            clients: Slab::default(),
            by_key: HashMap::with_hasher(hash),
            by_id: HashMap::with_hasher(hash),
            allocations: HashMap::with_hasher(hash),
            relayed: HashMap::with_hasher(hash),
            sockets: Slab::default(),
            hash,
            next_id: 1,
        }
    }

    // ---- clients

    #[inline]
    pub(crate) fn find(&self, address: &ClientAddress) -> Option<Index> {
        self.by_key.get(&ClientKey::new(address)).copied()
    }

    pub(crate) fn find_connection(&self, connection: ConnectionId) -> Option<Index> {
        self.by_key.get(&ClientKey::of_connection(connection)).copied()
    }

    pub(crate) fn find_id(&self, id: ClientId) -> Option<Index> {
        self.by_id.get(&id).copied()
    }

    #[inline]
    pub(crate) fn client(&self, at: Index) -> Option<&Client> {
        self.clients.get(at)
    }

    #[inline]
    pub(crate) fn client_mut(&mut self, at: Index) -> Option<&mut Client> {
        self.clients.get_mut(at)
    }

    /// The client at this address, from now on if need be.
    pub(crate) fn client_at(&mut self, address: &ClientAddress) -> Index {
        if let Some(at) = self.find(address) {
            return at;
        }
        let id = ClientId(self.next_id);
        self.next_id += 1;
        let at = self.clients.insert(Client { id, address: *address, allocation: None, exchanges: Vec::new() });
        self.by_key.insert(ClientKey::new(address), at);
        self.by_id.insert(id, at);
        at
    }

    /// Forgets a client that has nothing left.
    pub(crate) fn release(&mut self, at: Index) {
        let idle = |client: &Client| client.allocation.is_none() && client.exchanges.is_empty();
        if !self.client(at).is_some_and(idle) {
            return;
        }
        if let Some(client) = self.clients.remove(at) {
            self.by_key.remove(&ClientKey::new(&client.address));
            self.by_id.remove(&client.id);
        }
    }

    pub(crate) fn client_count(&self) -> usize {
        self.clients.len()
    }

    // ---- allocations

    /// Gives a client its allocation. False: the id, the client or a relayed address has one already.
    pub(crate) fn install(&mut self, at: Index, allocation: Allocation) -> bool {
        let taken = allocation.relayed_addresses().any(|address| self.relayed.contains_key(&address));
        let Some(client) = self.clients.get_mut(at) else {
            return false;
        };
        if taken || client.allocation.is_some() || self.allocations.contains_key(&allocation.id) {
            return false;
        }
        self.allocations.insert(allocation.id, at);
        for address in allocation.relayed_addresses() {
            self.relayed.insert(address, at);
        }
        client.allocation = Some(allocation);
        true
    }

    pub(crate) fn find_allocation(&self, id: AllocationId) -> Option<Index> {
        self.allocations.get(&id).copied()
    }

    pub(crate) fn find_relayed(&self, address: SocketAddr) -> Option<Index> {
        self.relayed.get(&address).copied()
    }

    pub(crate) fn allocation_mut(&mut self, at: Index) -> Option<&mut Allocation> {
        self.clients.get_mut(at)?.allocation.as_mut()
    }

    /// Takes a client's allocation away. Its relayed addresses are taken by `forget_relayed`.
    pub(crate) fn take_allocation(&mut self, at: Index) -> Option<Allocation> {
        let allocation = self.clients.get_mut(at)?.allocation.take()?;
        self.allocations.remove(&allocation.id);
        Some(allocation)
    }

    pub(crate) fn forget_relayed(&mut self, address: SocketAddr) {
        self.relayed.remove(&address);
    }

    /// Of all clients with an allocation.
    pub(crate) fn allocated(&self) -> Vec<Index> {
        let allocated = |at: &Index| self.client(*at).is_some_and(|client| client.allocation.is_some());
        self.clients.indices().filter(allocated).collect()
    }

    pub(crate) fn allocations(&self) -> impl Iterator<Item = &Allocation> {
        self.clients.iter().filter_map(|client| client.allocation.as_ref())
    }

    pub(crate) fn allocation_count(&self) -> usize {
        self.allocations.len()
    }

    /// Bytes of the clients and their allocations, as this table holds them.
    pub(crate) fn heap_bytes(&self) -> usize {
        let entry = |key: usize| key + size_of::<Index>() + 1;
        let maps = self.by_key.capacity() * entry(size_of::<ClientKey>())
            + (self.by_id.capacity() + self.allocations.capacity()) * entry(size_of::<u64>())
            + self.relayed.capacity() * entry(size_of::<SocketAddr>());
        let exchanges: usize =
            self.clients.iter().map(|client| client.exchanges.capacity() * size_of::<Exchange>()).sum();
        let allocations: usize = self.allocations().map(Allocation::heap_bytes).sum();
        maps + self.clients.heap_bytes() + self.sockets.heap_bytes() + exchanges + allocations
    }

    // ---- sockets

    pub(crate) fn name_socket(&mut self, at: Index, family: Family) -> SocketId {
        SocketId(self.sockets.insert((at, family)))
    }

    pub(crate) fn forget_socket(&mut self, socket: SocketId) {
        self.sockets.remove(socket.0);
    }

    #[inline]
    pub(crate) fn socket(&self, socket: SocketId) -> Option<(Index, Family)> {
        self.sockets.get(socket.0).copied()
    }

    pub(crate) fn socket_count(&self) -> usize {
        self.sockets.len()
    }

    /// Of a peer, for lists of known ones.
    pub(crate) fn hash_of(&self, peer: SocketAddr) -> u64 {
        self.hash.hash_one(peer)
    }
}

/// A 5-tuple in few words. A connection's id says everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ClientKey([u64; 5]);

impl ClientKey {
    #[inline]
    fn new(address: &ClientAddress) -> Self {
        if address.transport.is_stream() {
            return Self::of_connection(address.connection);
        }
        let (remote, local) = (words(address.remote.ip()), words(address.local.ip()));
        let ports = u64::from(address.remote.port()) << 16 | u64::from(address.local.port());
        Self([remote[0], remote[1], local[0], local[1], ports])
    }

    /// No datagram has such ports.
    fn of_connection(ConnectionId(connection): ConnectionId) -> Self {
        Self([connection, 0, 0, 0, u64::MAX])
    }
}

impl Hash for ClientKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.0 {
            state.write_u64(word);
        }
    }
}

#[inline]
fn words(ip: IpAddr) -> [u64; 2] {
    match ip {
        IpAddr::V4(ip) => [0xffff, u64::from(ip.to_bits())],
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            [(bits >> 64) as u64, bits as u64]
        }
    }
}
