//! TLS 1.2 and 1.3 of one connection, by rustls: bytes of the socket in, plaintext out, and back.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Acceptor, NoServerSessionStorage, ServerConfig, ServerConnection};

use super::End;
use super::splitter::message_len;
use crate::byte_queue::ByteQueue;

/// A certificate with its key, ready for use.
pub(super) struct TlsConfig {
    /// For clients that ask for `stun.turn` (RFC 7443).
    turn: Arc<ServerConfig>,
    /// For all others: rustls ends a handshake that offers nothing it knows, and browsers' offers are none of our concern.
    any: Arc<ServerConfig>,
}

impl TlsConfig {
    /// From PEM: the chain, our certificate first, and a key in PKCS#8, SEC1 or PKCS#1.
    pub(super) fn new(chain: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("the certificate chain is no PEM: {error}"))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key is no PEM: {error}"))?;
        let mut any = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| format!("the certificate cannot be used: {error}"))?;
        // A call connects once: nothing would be resumed.
        any.send_tls13_tickets = 0;
        any.session_storage = Arc::new(NoServerSessionStorage {});
        let mut turn = any.clone();
        turn.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { turn: turn.into(), any: any.into() })
    }

    fn choose<'a>(&self, mut offered: impl Iterator<Item = &'a [u8]>) -> Arc<ServerConfig> {
        let config = if offered.any(|protocol| protocol == ALPN) { &self.turn } else { &self.any };
        Arc::clone(config)
    }
}

/// One connection's.
pub(super) struct Tls {
    config: Arc<TlsConfig>,
    state: State,
    /// Bytes that came before the handshake was done.
    handshake_bytes: usize,
    /// Bytes that the socket has taken.
    written_bytes: u64,
}

/// Takes plaintext; an error ends the connection.
type Handle<'a> = dyn FnMut(&[u8]) -> Result<(), End> + 'a;

enum State {
    /// The client's first message is not whole.
    Hello(Box<Acceptor>),
    Begun(Box<ServerConnection>),
}

impl Tls {
    pub(super) fn new(config: Arc<TlsConfig>) -> Self {
        Self { config, state: State::Hello(Box::default()), handshake_bytes: 0, written_bytes: 0 }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        match &self.state {
            State::Hello(_) => true,
            State::Begun(connection) => connection.is_handshaking(),
        }
    }

    pub(super) fn wants_write(&self) -> bool {
        matches!(&self.state, State::Begun(connection) if connection.wants_write())
    }

    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// How much of what the client sends may be taken now.
    pub(super) fn read_len(&self) -> usize {
        if self.is_handshaking() { HANDSHAKE_BYTES - self.handshake_bytes } else { usize::MAX }
    }

    /// Takes what came from the socket. Plaintext goes to `handle`; without one it waits for the next call.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        socket: &mut impl Write,
        mut handle: Option<&mut Handle<'_>>,
    ) -> Result<(), End> {
        if self.is_handshaking() {
            self.handshake_bytes += bytes.len();
        }
        let mut rest = bytes;
        loop {
            let read = match &mut self.state {
                State::Hello(_) if rest.is_empty() => break,
                State::Hello(acceptor) => acceptor.read_tls(&mut rest),
                State::Begun(connection) => {
                    process(connection, socket)?;
                    if let Some(handle) = handle.as_deref_mut() {
                        drain(connection, handle)?;
                    }
                    if rest.is_empty() {
                        break;
                    }
                    connection.read_tls(&mut rest)
                }
            };
            if !matches!(read, Ok(1..)) {
                return Err(End::Tls);
            }
            self.take_hello(socket)?;
        }
        if self.is_handshaking() && self.handshake_bytes >= HANDSHAKE_BYTES { Err(End::Tls) } else { Ok(()) }
    }

    /// Encrypts what waits and writes it as far as `socket` takes it, which is true when that was all.
    ///
    /// Every message is a record of its own: coturn's client looks for no second message in what it has read.
    pub(super) fn write(&mut self, queue: &mut ByteQueue, socket: &mut impl Write) -> io::Result<bool> {
        let State::Begun(connection) = &mut self.state else { return Ok(true) };
        loop {
            if !write_records(connection, socket, &mut self.written_bytes)? {
                return Ok(false);
            }
            if queue.is_empty() || connection.is_handshaking() {
                return Ok(true);
            }
            let enough = queue.len().saturating_sub(ENCRYPTED_BYTES);
            while queue.len() > enough {
                let waiting = queue.waiting();
                let message = &waiting[..message_len(waiting).unwrap_or(waiting.len())];
                let taken = connection.writer().write(message)?;
                queue.take(taken);
            }
        }
    }

    /// Says that nothing more comes, if the client can be told at once.
    pub(super) fn close(&mut self, socket: &mut impl Write) {
        if let State::Begun(connection) = &mut self.state {
            connection.send_close_notify();
            let _ = connection.write_tls(socket);
        }
    }

    /// Goes on with the handshake once the client's first message is whole.
    fn take_hello(&mut self, socket: &mut impl Write) -> Result<(), End> {
        let State::Hello(acceptor) = &mut self.state else { return Ok(()) };
        let begun = acceptor.accept().and_then(|accepted| {
            let Some(accepted) = accepted else { return Ok(None) };
            let config = self.config.choose(accepted.client_hello().alpn().into_iter().flatten());
            accepted.into_connection(config).map(Some)
        });
        match begun {
            Ok(None) => Ok(()),
            Ok(Some(mut connection)) => {
                connection.set_buffer_limit(None); // `write` has its own, of whole messages
                self.state = State::Begun(connection.into());
                Ok(())
            }
            Err((_, mut alert)) => {
                let _ = alert.write(socket);
                Err(End::Tls)
            }
        }
    }
}

fn process(connection: &mut ServerConnection, socket: &mut impl Write) -> Result<(), End> {
    if connection.process_new_packets().is_ok() {
        return Ok(());
    }
    let _ = connection.write_tls(socket); // why, for the client's log
    Err(End::Tls)
}

fn drain(connection: &mut ServerConnection, handle: &mut Handle<'_>) -> Result<(), End> {
    let mut reader = connection.reader();
    loop {
        let len = match reader.fill_buf() {
            Ok([]) => return Err(End::Closed),
            Ok(plaintext) => {
                handle(plaintext)?;
                plaintext.len()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(End::Closed),
        };
        reader.consume(len);
    }
}

/// True when `socket` took all of them.
fn write_records(
    connection: &mut ServerConnection,
    socket: &mut impl Write,
    written_bytes: &mut u64,
) -> io::Result<bool> {
    while connection.wants_write() {
        match connection.write_tls(socket) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *written_bytes += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

const ALPN: &[u8] = b"stun.turn";
/// Of a client until its handshake is done: the largest hello, with keys against quantum computers, is about 2 KiB.
const HANDSHAKE_BYTES: usize = 16 << 10;
/// On top of what waits as plaintext (and the rest of one message): about what the kernel takes.
const ENCRYPTED_BYTES: usize = 64 << 10;
