//! A client's signalling connection: a WebSocket with a protobuf message in each frame, over TLS or not. Never blocks.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{SystemTime, UNIX_EPOCH};

use mio::net::TcpStream;
use openssl::ssl::{self, MidHandshakeSslStream, SslConnector, SslMethod, SslStream};
use prost::Message as _;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::{ClientHandshake, Request as HttpRequest};
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::http::{HeaderValue, Response as HttpResponse, header};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

use super::messages::{Ping, Request, Response, SignalRequest, SignalResponse};

/// A media server's signalling.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    url: String,
    address: SocketAddr,
    /// With `wss`.
    tls: Option<Tls>,
}

/// What a server's certificate is checked with.
#[derive(Debug, Clone)]
struct Tls {
    connector: SslConnector,
    host: String,
}

impl Server {
    /// Of `ws://host:port` or `wss://host:port`. The reason is in the error.
    pub(crate) fn resolve(url: &str) -> Result<Self, String> {
        let url = url.trim_end_matches('/');
        let request = url.into_client_request().map_err(|error| format!("{url}: {error}"))?;
        let uri = request.uri();
        let (Some(host), Some(scheme @ ("ws" | "wss"))) = (uri.host(), uri.scheme_str()) else {
            return Err(format!("{url} is neither ws://HOST:PORT nor wss://HOST:PORT"));
        };
        let host = host.trim_matches(['[', ']']);
        let (tls, port) = if scheme == "wss" { (Some(Tls::to(host)?), 443) } else { (None, 80) };
        let mut addresses =
            (host, uri.port_u16().unwrap_or(port)).to_socket_addrs().map_err(|error| format!("{url}: {error}"))?;
        let address = addresses.next().ok_or_else(|| format!("{host} has no address"))?;
        Ok(Self { url: url.to_owned(), address, tls })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Tls {
    /// Trusts whom the machine trusts, or the `SSL_CERT_FILE` of the environment.
    fn to(host: &str) -> Result<Self, String> {
        let connector = SslConnector::builder(SslMethod::tls()).map_err(|error| error.to_string())?.build();
        Ok(Self { connector, host: host.to_owned() })
    }
}

/// One client's connection.
pub(crate) struct Signal {
    state: State,
    received: VecDeque<Response>,
}

enum State {
    Connecting(TcpStream, Option<Tls>, HttpRequest),
    Securing(MidHandshakeSslStream<TcpStream>, HttpRequest),
    Shaking(MidHandshake<ClientHandshake<Stream>>),
    Open(Box<WebSocket<Stream>>),
    Closed,
}

enum Stream {
    Plain(TcpStream),
    Secure(SslStream<TcpStream>),
}

impl Signal {
    /// Starts connecting: protocol v0, two peer connections, nothing subscribed by itself.
    pub(crate) fn connect(server: &Server, token: &str) -> Result<Self, String> {
        let mut request =
            format!("{}/rtc?{PARAMETERS}", server.url).into_client_request().map_err(|error| error.to_string())?;
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| error.to_string())?;
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let stream = TcpStream::connect(server.address).map_err(|error| error.to_string())?;
        Ok(Self { state: State::Connecting(stream, server.tls.clone(), request), received: VecDeque::new() })
    }

    /// To be registered before the first `handle_ready`.
    pub(crate) fn stream(&mut self) -> Option<&mut TcpStream> {
        match &mut self.state {
            State::Connecting(stream, ..) => Some(stream),
            _ => None,
        }
    }

    // ---- commands

    /// Goes out now, or as soon as the socket takes it.
    pub(crate) fn send(&mut self, message: Request) -> Result<(), String> {
        let State::Open(socket) = &mut self.state else { return Ok(()) };
        let bytes = SignalRequest { message: Some(message) }.encode_to_vec();
        ignore_blocked(socket.write(Message::binary(bytes)))?;
        ignore_blocked(socket.flush())
    }

    /// What clients send to be known as alive.
    pub(crate) fn ping(&mut self) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.send(Request::Ping(Ping { timestamp: now.as_millis() as i64 }))
    }

    /// Says goodbye; nothing comes any more.
    pub(crate) fn close(&mut self) {
        if let State::Open(mut socket) = std::mem::replace(&mut self.state, State::Closed) {
            // The server may be gone already.
            let _ = socket.close(None).and_then(|()| socket.flush());
        }
    }

    // ---- in

    /// The socket can be read or written. An error is the end.
    pub(crate) fn handle_ready(&mut self) -> Result<(), String> {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Connecting(stream, tls, request) => connected(stream, tls, request)?,
            State::Securing(handshake, request) => secure(handshake.handshake(), request)?,
            State::Shaking(handshake) => shake(handshake.handshake())?,
            other => other,
        };
        if let State::Open(socket) = &mut self.state {
            ignore_blocked(socket.flush())?;
            read(socket, &mut self.received)?;
        }
        Ok(())
    }

    // ---- out

    pub(crate) fn poll_message(&mut self) -> Option<Response> {
        self.received.pop_front()
    }
}

fn connected(stream: TcpStream, tls: Option<Tls>, request: HttpRequest) -> Result<State, String> {
    if let Some(error) = stream.take_error().map_err(|error| error.to_string())? {
        return Err(error.to_string());
    }
    match stream.peer_addr() {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            return Ok(State::Connecting(stream, tls, request));
        }
        Err(error) => return Err(error.to_string()),
        Ok(_) => {}
    }
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    match tls {
        Some(tls) => secure(tls.connector.connect(&tls.host, stream), request),
        None => open(Stream::Plain(stream), request),
    }
}

fn secure(
    handshake: Result<SslStream<TcpStream>, ssl::HandshakeError<TcpStream>>,
    request: HttpRequest,
) -> Result<State, String> {
    match handshake {
        Ok(stream) => open(Stream::Secure(stream), request),
        Err(ssl::HandshakeError::WouldBlock(handshake)) => Ok(State::Securing(handshake, request)),
        Err(error) => Err(format!("TLS: {error}")),
    }
}

fn open(stream: Stream, request: HttpRequest) -> Result<State, String> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    shake(ClientHandshake::start(stream, request, Some(config)).map_err(|error| error.to_string())?.handshake())
}

type Handshake = Result<(WebSocket<Stream>, HttpResponse<Option<Vec<u8>>>), HandshakeError<ClientHandshake<Stream>>>;

fn shake(handshake: Handshake) -> Result<State, String> {
    match handshake {
        Ok((socket, _)) => Ok(State::Open(Box::new(socket))),
        Err(HandshakeError::Interrupted(handshake)) => Ok(State::Shaking(handshake)),
        Err(HandshakeError::Failure(Error::Http(response))) => {
            Err(format!("the join was refused: {}", response.status()))
        }
        Err(HandshakeError::Failure(error)) => Err(error.to_string()),
    }
}

fn read(socket: &mut WebSocket<Stream>, received: &mut VecDeque<Response>) -> Result<(), String> {
    loop {
        match socket.read() {
            Ok(Message::Binary(bytes)) => {
                let response = SignalResponse::decode(bytes).map_err(|error| error.to_string())?;
                received.extend(response.message);
            }
            Ok(Message::Close(_)) => return Err("the server closed the signalling connection".to_owned()),
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Secure(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(from),
            Self::Secure(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Secure(stream) => stream.flush(),
        }
    }
}

/// What the socket does not take at once is kept, and goes out with the next `flush`.
fn ignore_blocked(result: Result<(), Error>) -> Result<(), String> {
    match result {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        result => result.map_err(|error| error.to_string()),
    }
}

/// Cleared before each reading, so that the library's own 128 KiB cost more than the reading.
const READ_BUFFER_BYTES: usize = 8 << 10;
/// As the Rust SDK's, with adaptive stream and automatic subscriptions off.
const PARAMETERS: &str = "sdk=rust&version=0.7.0&protocol=16&os=linux&auto_subscribe=0&adaptive_stream=0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_host_and_port() {
        let address = |url: &str| Server::resolve(url).map(|server| server.address).ok();
        assert_eq!(address("ws://127.0.0.1:7880/"), Some(SocketAddr::from(([127, 0, 0, 1], 7_880))));
        assert_eq!(address("ws://[::1]:7880"), "[::1]:7880".parse().ok());
        assert_eq!(address("wss://127.0.0.1"), "127.0.0.1:443".parse().ok());
        for url in ["http://127.0.0.1", "127.0.0.1:7880", ""] {
            assert_eq!(address(url), None, "{url}");
        }
    }
}
