//! Surroundings that write down what is wanted of them, and refuse what no relay may want.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;

use relay::{ClientAddress, ConnectionId, Outputs, RelayEvent, Request, Route, SocketId};

#[derive(Default)]
pub struct Recorder {
    pub to_client: Vec<(ClientAddress, Vec<u8>)>,
    pub to_peer: Vec<(SocketId, SocketAddr, Vec<u8>)>,
    pub to_media: Vec<(u32, SocketAddr, SocketAddr, Vec<u8>)>,
    pub routes: HashMap<SocketAddr, Route>,
    /// Bound address, and whether packets of it must not be fragmented.
    pub sockets: BTreeMap<u32, (SocketAddr, bool)>,
    pub binds: usize,
    pub no_descriptors: bool,
    pub kept: Vec<ConnectionId>,
    pub closed: Vec<ConnectionId>,
    pub events: Vec<RelayEvent>,
}

impl Recorder {
    /// The last event, if it is a request.
    pub fn request(&mut self) -> Option<Request> {
        match self.events.pop()? {
            RelayEvent::Request(request) => Some(*request),
            other => panic!("no request: {other:?}"),
        }
    }

    /// The same, and it is no failure if there is none.
    pub fn request_if_any(&mut self) -> Option<Request> {
        if self.events.is_empty() { None } else { self.request() }
    }

    /// The only socket.
    pub fn socket(&self) -> SocketId {
        assert_eq!(self.sockets.len(), 1);
        SocketId(*self.sockets.keys().next().expect("a socket"))
    }

    pub fn payload_to_client(&mut self) -> Option<Vec<u8>> {
        self.to_client.pop().map(|(_, bytes)| bytes)
    }

    /// Forgets packets, messages and events.
    pub fn clear(&mut self) {
        self.to_client.clear();
        self.to_peer.clear();
        self.to_media.clear();
        self.events.clear();
    }
}

impl Outputs for Recorder {
    fn to_client(&mut self, client: &ClientAddress, len: usize) -> &mut [u8] {
        // Rooms are used again: whatever is not written would be told to the client.
        self.to_client.push((*client, vec![0xee; len]));
        self.to_client.last_mut().map_or(&mut [], |(_, bytes)| bytes)
    }

    fn to_peer(&mut self, socket: SocketId, peer: SocketAddr, payload: &[u8]) {
        assert!(self.sockets.contains_key(&socket.0), "{socket:?} is not bound");
        self.to_peer.push((socket, peer, payload.to_vec()));
    }

    fn to_media(&mut self, shard: u32, relayed: SocketAddr, media: SocketAddr, payload: &[u8]) {
        self.to_media.push((shard, relayed, media, payload.to_vec()));
    }

    fn set_route(&mut self, relayed: SocketAddr, route: Option<Route>) {
        match route {
            Some(route) => _ = self.routes.insert(relayed, route),
            None => assert!(self.routes.remove(&relayed).is_some(), "there was no route for {relayed}"),
        }
    }

    fn bind(&mut self, socket: SocketId, address: SocketAddr, dont_fragment: bool) -> io::Result<()> {
        if self.no_descriptors {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        self.binds += 1;
        assert!(self.sockets.insert(socket.0, (address, dont_fragment)).is_none(), "{socket:?} is bound");
        Ok(())
    }

    fn close(&mut self, socket: SocketId) {
        assert!(self.sockets.remove(&socket.0).is_some(), "{socket:?} is not bound");
    }

    fn keep_connection(&mut self, connection: ConnectionId) {
        self.kept.push(connection);
    }

    fn close_connection(&mut self, connection: ConnectionId) {
        self.closed.push(connection);
    }

    fn event(&mut self, event: RelayEvent) {
        self.events.push(event);
    }
}
