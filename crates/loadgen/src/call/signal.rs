//! A client's signalling connection: a WebSocket with a protobuf message in each frame. Never blocks.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{SystemTime, UNIX_EPOCH};

use mio::net::TcpStream;
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
}

impl Server {
    /// Of `ws://host:port`. The reason is in the error.
    pub(crate) fn resolve(url: &str) -> Result<Self, String> {
        let url = url.trim_end_matches('/');
        let request = url.into_client_request().map_err(|error| format!("{url}: {error}"))?;
        let (uri, plain) = (request.uri(), request.uri().scheme_str() == Some("ws"));
        let (Some(host), true) = (uri.host(), plain) else {
            return Err(format!("{url} is not ws://HOST:PORT"));
        };
        let host = host.trim_matches(['[', ']']);
        let mut addresses =
            (host, uri.port_u16().unwrap_or(80)).to_socket_addrs().map_err(|error| format!("{url}: {error}"))?;
        let address = addresses.next().ok_or_else(|| format!("{host} has no address"))?;
        Ok(Self { url: url.to_owned(), address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// One client's connection.
pub(crate) struct Signal {
    state: State,
    received: VecDeque<Response>,
}

enum State {
    Connecting(TcpStream, HttpRequest),
    Shaking(MidHandshake<ClientHandshake<TcpStream>>),
    Open(Box<WebSocket<TcpStream>>),
    Closed,
}

impl Signal {
    /// Starts connecting: protocol v0, two peer connections, nothing subscribed by itself.
    pub(crate) fn connect(server: &Server, token: &str) -> Result<Self, String> {
        let mut request =
            format!("{}/rtc?{PARAMETERS}", server.url).into_client_request().map_err(|error| error.to_string())?;
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| error.to_string())?;
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let stream = TcpStream::connect(server.address).map_err(|error| error.to_string())?;
        Ok(Self { state: State::Connecting(stream, request), received: VecDeque::new() })
    }

    /// To be registered before the first `handle_ready`.
    pub(crate) fn stream(&mut self) -> Option<&mut TcpStream> {
        match &mut self.state {
            State::Connecting(stream, _) => Some(stream),
            State::Open(socket) => Some(socket.get_mut()),
            State::Shaking(_) | State::Closed => None,
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
            State::Connecting(stream, request) => connected(stream, request)?,
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

fn connected(stream: TcpStream, request: HttpRequest) -> Result<State, String> {
    if let Some(error) = stream.take_error().map_err(|error| error.to_string())? {
        return Err(error.to_string());
    }
    match stream.peer_addr() {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(State::Connecting(stream, request)),
        Err(error) => return Err(error.to_string()),
        Ok(_) => {}
    }
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    shake(ClientHandshake::start(stream, request, Some(config)).map_err(|error| error.to_string())?.handshake())
}

type Handshake =
    Result<(WebSocket<TcpStream>, HttpResponse<Option<Vec<u8>>>), HandshakeError<ClientHandshake<TcpStream>>>;

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

fn read(socket: &mut WebSocket<TcpStream>, received: &mut VecDeque<Response>) -> Result<(), String> {
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
        for url in ["wss://127.0.0.1:7880", "http://127.0.0.1", "127.0.0.1:7880", ""] {
            assert_eq!(address(url), None, "{url}");
        }
    }
}
