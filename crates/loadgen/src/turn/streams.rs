//! Clients on connections: TCP, or TLS with whatever certificate the server shows. Frames by RFC 8656 §12.5.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Failure;

/// One connection.
pub(crate) struct Stream {
    io: Io,
    inbound: Vec<u8>,
    outbound: VecDeque<u8>,
    reserved: usize,
}

enum Io {
    Tcp(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

impl Stream {
    /// Connects from `host`, and shakes hands if it is to be TLS.
    pub(crate) fn connect(host: IpAddr, server: SocketAddr, tls: bool) -> Result<Self, Failure> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::new(host, 0).into())?;
        socket.set_read_timeout(Some(CONNECT_TIMEOUT))?;
        socket.connect_timeout(&server.into(), CONNECT_TIMEOUT)?;
        socket.set_tcp_nodelay(true)?;
        let tcp = TcpStream::from(socket);
        let io = if tls { Io::Tls(Box::new(shake_hands(tcp)?)) } else { Io::Tcp(tcp) };
        io.tcp().set_nonblocking(true)?;
        Ok(Self { io, inbound: Vec::new(), outbound: VecDeque::new(), reserved: 0 })
    }

    /// Room for one message. What is not committed is taken back by the next.
    pub(crate) fn reserve(&mut self, len: usize) -> &mut [u8] {
        self.outbound.truncate(self.outbound.len() - self.reserved);
        let start = self.outbound.len();
        self.outbound.resize(start + len, 0);
        self.reserved = len;
        &mut self.outbound.make_contiguous()[start..]
    }

    /// Queues what was written into the last `reserve`, padded to four bytes.
    pub(crate) fn commit(&mut self) {
        let padding = self.reserved.next_multiple_of(4) - self.reserved;
        self.outbound.extend(std::iter::repeat_n(0, padding));
        self.reserved = 0;
    }

    /// Whether the server takes less than it is sent: a client that paces itself would wait.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.outbound.len() > MAX_BACKLOG_BYTES
    }

    /// Writes as much as the connection takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.outbound.is_empty() {
            match self.io.write(self.outbound.make_contiguous()) {
                Ok(count) => drop(self.outbound.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hands over every message that is complete; true when there was anything to read.
    pub(crate) fn receive(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut buffer = [0; READ_BYTES];
        let count = match self.io.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        self.inbound.extend_from_slice(&buffer[..count]);
        let mut at = 0;
        while let Some(message) = frame(&self.inbound[at..]) {
            take(&self.inbound[at..at + message]);
            at += message.next_multiple_of(4);
        }
        self.inbound.drain(..at);
        Ok(true)
    }
}

impl Io {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }
}

fn shake_hands(tcp: TcpStream) -> Result<SslStream<TcpStream>, Failure> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(|_| Failure::Crypto)?;
    builder.set_verify(SslVerifyMode::NONE);
    let mut configuration = builder.build().configure().map_err(|_| Failure::Crypto)?;
    configuration.set_verify_hostname(false);
    configuration.connect("bench", tcp).map_err(|error| Failure::Handshake { reason: error.to_string() })
}

/// The length of the message at the start, without padding, once it is there with its padding.
fn frame(bytes: &[u8]) -> Option<usize> {
    let [kind, _, high, low] = *bytes.first_chunk()?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let header = if kind & 0xc0 == 0 { wire::stun::HEADER_LEN } else { wire::channeldata::HEADER_LEN };
    (bytes.len() >= (header + len).next_multiple_of(4)).then_some(header + len)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A TLS record.
const READ_BYTES: usize = 16 << 10;
/// A second of 4 Mbit/s: who is so far behind is measured as loss.
const MAX_BACKLOG_BYTES: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_message_is_complete_with_its_padding() {
        let channel_data = [0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0, 0x40];
        assert_eq!(frame(&channel_data), Some(9));
        assert_eq!(frame(&channel_data[..11]), None);
        assert_eq!(frame(&channel_data[..3]), None);
        let mut stun = [0; 28];
        stun[3] = 8;
        assert_eq!(frame(&stun), Some(28));
        assert_eq!(frame(&stun[..27]), None);
    }
}
