//! Connections that have not shown their first check yet: few per source, few in all, and not for long.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, TcpStream};
use std::time::{Duration, Instant};

use wire::stun::{Class, Message, Method};

use super::frames::announced;
use super::{Accepted, FRAME_HEADER};

/// In the order of their tokens, which is that of their age.
#[derive(Default)]
pub(super) struct Pending {
    waiting: BTreeMap<u64, Waiting>,
    sources: HashMap<IpAddr, usize>,
    next_token: u64,
}

struct Waiting {
    accepted: Accepted,
    source: IpAddr,
    deadline: Instant,
}

/// What one reading gave.
pub(super) enum Progress {
    /// The frame is not complete.
    Incomplete,
    /// A check for the transport that has this ufrag.
    Check(String, Accepted),
    /// Anything else, or its end.
    Useless,
}

impl Pending {
    /// Takes in a connection; `None` when its source has too many already. When there are too many in all, the oldest goes:
    /// an honest client's check comes right behind its handshake.
    pub(super) fn add(&mut self, now: Instant, accepted: Accepted) -> Option<(u64, bool)> {
        let source = source(accepted.path.remote.ip());
        let of_source = self.sources.entry(source).or_default();
        if *of_source >= MAX_PER_SOURCE {
            return None;
        }
        *of_source += 1;
        let token = self.next_token;
        self.next_token += 1;
        self.waiting.insert(token, Waiting { accepted, source, deadline: now + DEADLINE });
        let evicts = self.waiting.len() > MAX_TOTAL;
        if let Some(oldest) = self.waiting.first_key_value().map(|(token, _)| *token).filter(|_| evicts) {
            self.remove(oldest);
        }
        Some((token, evicts))
    }

    pub(super) fn stream(&self, token: u64) -> Option<&TcpStream> {
        self.waiting.get(&token).map(|waiting| &waiting.accepted.stream)
    }

    /// Reads what there is of the first frame, and no byte behind it.
    pub(super) fn read(&mut self, token: u64) -> Progress {
        let Some(waiting) = self.waiting.get_mut(&token) else { return Progress::Incomplete };
        match read_frame(&mut waiting.accepted.stream, &mut waiting.accepted.first) {
            Ok(false) => return Progress::Incomplete,
            Ok(true) => {}
            Err(_) => {
                self.remove(token);
                return Progress::Useless;
            }
        }
        let Some(mut accepted) = self.remove(token) else { return Progress::Useless };
        accepted.first.drain(..FRAME_HEADER);
        match checked_ufrag(&accepted.first) {
            Some(ufrag) => Progress::Check(ufrag, accepted),
            None => Progress::Useless,
        }
    }

    /// Forgets, and so closes, what came too late; gives how many those were.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let mut expired = 0;
        while let Some((token, _)) = self.waiting.first_key_value().filter(|(_, waiting)| waiting.deadline <= now) {
            let token = *token;
            self.remove(token);
            expired += 1;
        }
        expired
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(_, waiting)| waiting.deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn remove(&mut self, token: u64) -> Option<Accepted> {
        let waiting = self.waiting.remove(&token)?;
        if let Some(count) = self.sources.get_mut(&waiting.source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&waiting.source);
            }
        }
        Some(waiting.accepted)
    }
}

/// True once `frame` holds a whole one, with its header.
fn read_frame(stream: &mut impl Read, frame: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let want = announced(frame).map_or(FRAME_HEADER, |len| FRAME_HEADER + len);
        if !(FRAME_HEADER..=FRAME_HEADER + MAX_CHECK).contains(&want) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let have = frame.len();
        if have == want && want > FRAME_HEADER {
            return Ok(true);
        }
        if have == want {
            return Err(io::ErrorKind::InvalidData.into()); // an empty frame
        }
        frame.resize(want, 0);
        let result = stream.read(&mut frame[have..]);
        frame.truncate(have + result.as_ref().map_or(0, |count| *count));
        match result {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Our half of the username of a connectivity check; `None` for anything else.
fn checked_ufrag(frame: &[u8]) -> Option<String> {
    let message = Message::parse(frame).ok()?;
    if message.class() != Class::Request || message.method() != Method::BINDING {
        return None;
    }
    let (ufrag, _) = message.username()?.split_once(':')?;
    Some(ufrag.to_owned())
}

/// Who is counted together: an IPv4 address, or the network that one IPv6 customer has.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// The check comes right after the handshake, even over the slowest of networks.
const DEADLINE: Duration = Duration::from_secs(10);
const MAX_TOTAL: usize = 512;
/// An office behind one address that joins at once.
const MAX_PER_SOURCE: usize = 64;
/// Two ufrags of 256 characters and all attributes that browsers send are less.
const MAX_CHECK: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use forward::Path;

    /// Both ends, and the pending one as if from `remote`.
    fn accepted(listener: &TcpListener, remote: IpAddr) -> (TcpStream, Accepted) {
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("loopback");
        let (stream, _) = listener.accept().expect("a connection");
        let path = Path::tcp(stream.local_addr().expect("connected"), (remote, 5000).into());
        (client, Accepted { stream, path, first: Vec::new() })
    }

    #[test]
    fn a_source_has_its_share_and_the_oldest_goes_when_all_are_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
        let (mut pending, now) = (Pending::default(), Instant::now());
        let mut clients = Vec::new();
        let mut add = |pending: &mut Pending, remote: IpAddr| {
            let (client, accepted) = accepted(&listener, remote);
            clients.push(client);
            pending.add(now, accepted)
        };
        for _ in 0..MAX_PER_SOURCE {
            assert!(add(&mut pending, [198, 51, 100, 1].into()).is_some());
        }
        assert!(add(&mut pending, [198, 51, 100, 1].into()).is_none());
        for host in 0..(MAX_TOTAL - MAX_PER_SOURCE) as u16 {
            let [high, low] = host.to_be_bytes();
            assert!(matches!(add(&mut pending, [203, 0, high, low].into()), Some((_, false))));
        }
        assert!(matches!(add(&mut pending, [198, 51, 100, 2].into()), Some((_, true))));
        assert_eq!(pending.len(), MAX_TOTAL);
        assert!(add(&mut pending, [198, 51, 100, 1].into()).is_some(), "one of its own was the oldest");
        assert_eq!(pending.expire(now + DEADLINE), MAX_TOTAL as u64);
        assert!(pending.sources.is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let of = |text: &str| source(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
