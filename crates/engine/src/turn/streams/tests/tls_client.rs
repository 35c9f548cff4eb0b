//! A client by rustls that never blocks, and a server with a certificate.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use super::certificates::{Authority, Certified, NAME};
use super::*;

pub(super) struct TlsClient {
    pub(super) socket: Client,
    pub(super) tls: ClientConnection,
    received: Vec<u8>,
    is_end: bool,
}

impl TlsClient {
    pub(super) fn new(
        address: SocketAddr,
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&[u8]],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().into()).expect("an authority");
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let tls = ClientConnection::new(Arc::new(config), NAME.try_into().expect("a name")).expect("a client");
        Self { socket: Client::new(address), tls, received: Vec::new(), is_end: false }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).expect("room");
        self.pump();
    }

    /// Reads and writes what can be.
    pub(super) fn pump(&mut self) {
        self.flush();
        loop {
            match self.tls.read_tls(&mut self.socket.stream) {
                Ok(0) => self.is_end = true,
                Ok(_) => {}
                Err(error) => {
                    self.is_end |= error.kind() != ErrorKind::WouldBlock;
                    break;
                }
            }
            self.tls.process_new_packets().expect("TLS");
            let _ = self.tls.reader().read_to_end(&mut self.received);
            if self.is_end {
                break;
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        while self.tls.wants_write() && self.tls.write_tls(&mut self.socket.stream).is_ok() {}
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    pub(super) fn shake_hands(&mut self, server: &mut Server) {
        server.until(|_| {
            self.pump();
            (!self.tls.is_handshaking()).then_some(())
        });
    }

    pub(super) fn read_exactly(&mut self, server: &mut Server, len: usize) -> Vec<u8> {
        server.until(|_| {
            self.pump();
            (self.received.len() >= len).then_some(())
        });
        self.take()
    }

    pub(super) fn wait_for_end(&mut self, server: &mut Server) {
        server.until(|_| {
            self.pump();
            self.is_end.then_some(())
        });
    }

    /// Sends a request and gets it back.
    pub(super) fn meet(&mut self, server: &mut Server) -> ConnectionId {
        self.write(&stun(4));
        let (from, message) = server.until(|server| {
            self.pump();
            server.received.pop()
        });
        assert_eq!((from.remote, &message), (self.socket.address(), &stun(4)));
        server.send(from.connection, &message);
        assert_eq!(self.read_exactly(server, message.len()), message);
        from.connection
    }
}

pub(super) fn tls_server(certified: &Certified) -> (Server, SocketAddr) {
    let mut server = Server::new();
    configure(&mut server, certified);
    let address = server.streams.addresses()[0].address;
    (server, address)
}

pub(super) fn configure(server: &mut Server, certified: &Certified) {
    let tls = Some((&certified.chain[..], &certified.key[..]));
    let failed = server.streams.configure(&server.poller, &[any_port(true)], tls, 1_000);
    assert_eq!(failed, []);
}
