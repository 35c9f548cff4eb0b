//! `loadgen relay`: the floor of a TURN server. It speaks `ChannelData` on the wire like one and does nothing that relaying
//! does not need: no credentials, no permissions, no limits, no timers. Whoever asks gets an allocation and one channel.

mod answer;
mod joined;
mod plain;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use netio::{Interest, Poller};

use self::joined::Joined;
use self::plain::Plain;
use self::table::Table;
use crate::{Failure, reply};

/// How packets are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// One `recvfrom` and one `sendto` for each packet.
    Plain,
    /// `recvmmsg` with GRO, and GSO for what goes to the same place in a row.
    Joined,
}

/// The relay.
pub(crate) struct Relay {
    poller: Poller,
    table: Table,
    mover: Mover,
    /// Sleep after each turn that moved something, so that more comes together.
    coalesce: Duration,
    ready: Vec<u64>,
}

enum Mover {
    Plain(Plain),
    Joined(Box<Joined>),
}

impl Relay {
    /// Listens on a free port of the host, and relays there.
    pub(crate) fn bind(host: SocketAddr, strategy: Strategy, coalesce: Duration) -> io::Result<Self> {
        let listener = table::bind(host)?;
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER, Interest::Read)?;
        let mover = match strategy {
            Strategy::Plain => Mover::Plain(Plain::new()),
            Strategy::Joined => Mover::Joined(Box::new(Joined::new(&listener)?)),
        };
        Ok(Self { poller, table: Table::new(listener), mover, coalesce, ready: Vec::new() })
    }

    /// Where clients find it.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.table.listener.local_addr()
    }

    /// Waits for packets, and moves a batch from each socket that has some. False when `add_end`'s source is readable.
    pub(crate) fn turn(&mut self, timeout: Option<Duration>) -> Result<bool, Failure> {
        self.ready.clear();
        self.ready.extend(self.poller.wait(timeout)?.map(|ready| ready.token));
        for token in &self.ready {
            match *token {
                END => return Ok(false),
                LISTENER => self.mover.move_from_clients(&mut self.table, &self.poller)?,
                index => self.mover.move_from_peers(&mut self.table, index as usize - FIRST_ALLOCATION)?,
            }
        }
        if !self.ready.is_empty() && !self.coalesce.is_zero() {
            thread::sleep(self.coalesce);
        }
        Ok(true)
    }

    /// Ends when this becomes readable.
    fn add_end(&self, source: &impl AsFd) {
        // What epoll does not take (a file, /dev/null) never ends; then a signal does.
        let _ = self.poller.add(source, END, Interest::Read);
    }
}

impl Mover {
    fn move_from_clients(&mut self, table: &mut Table, poller: &Poller) -> Result<(), Failure> {
        match self {
            Self::Plain(plain) => plain.move_from_clients(table, poller),
            Self::Joined(joined) => joined.move_from_clients(table, poller),
        }
    }

    fn move_from_peers(&mut self, table: &mut Table, index: usize) -> Result<(), Failure> {
        match self {
            Self::Plain(plain) => plain.move_from_peers(table, index),
            Self::Joined(joined) => joined.move_from_peers(table, index),
        }
    }
}

/// Relays until stdin ends. Arguments: host, strategy, and microseconds of coalescing.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Failure> {
    let host = arguments.next().and_then(|host| host.parse().ok()).ok_or(Failure::NoSuchRelay)?;
    let strategy = match arguments.next().as_deref() {
        Some("plain") => Strategy::Plain,
        Some("joined") => Strategy::Joined,
        _ => return Err(Failure::NoSuchRelay),
    };
    let coalesce_us = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let mut relay = Relay::bind(SocketAddr::new(host, 0), strategy, Duration::from_micros(coalesce_us))?;
    relay.add_end(&io::stdin());
    reply(&serde_json::json!({ "udp": relay.address()?.port() }));
    while relay.turn(None)? {}
    Ok(())
}

/// Makes an allocation's socket wake the relay up.
fn watch(poller: &Poller, socket: &UdpSocket, index: usize) -> io::Result<()> {
    poller.add(socket, (FIRST_ALLOCATION + index) as u64, Interest::Read)
}

const LISTENER: u64 = 0;
const END: u64 = 1;
const FIRST_ALLOCATION: usize = 2;
