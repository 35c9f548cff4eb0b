//! Where clients connect to: opened, closed and accepted from.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use netio::{Interest, Poller};

use super::{FIRST_LISTENER, StreamListen};
use crate::tcp::{REST, is_exhausted};

#[derive(Default)]
pub(super) struct Listeners {
    open: Vec<Listener>,
    next_token: u64,
    /// The system had no descriptor left: nothing is accepted before.
    rest_until: Option<Instant>,
}

struct Listener {
    token: u64,
    /// As asked for; the port may be 0.
    listen: StreamListen,
    socket: TcpListener,
}

/// What one try gave.
pub(super) enum Accept {
    Connection {
        stream: TcpStream,
        remote: SocketAddr,
        tls: bool,
    },
    /// The connection ended before it was accepted.
    Failed,
    /// Nothing more for now.
    Nothing,
    /// The system has nothing left, and the listeners rest.
    Exhausted,
}

impl Listeners {
    /// Closes all others.
    pub(super) fn retain(&mut self, stays: impl Fn(StreamListen) -> bool) {
        self.open.retain(|listener| stays(listener.listen));
    }

    pub(super) fn has(&self, listen: StreamListen) -> bool {
        self.open.iter().any(|listener| listener.listen == listen)
    }

    pub(super) fn open(&mut self, poller: &Poller, listen: StreamListen) -> Result<(), String> {
        let address = listen.address;
        let mut sockets = netio::listen_all(&[address.ip()], address.port()).map_err(|(_, error)| error.to_string())?;
        let socket = sockets.pop().ok_or("nothing to listen on")?;
        let token = FIRST_LISTENER + self.next_token;
        if self.rest_until.is_none() {
            poller.add(&socket, token, Interest::Read).map_err(|error| error.to_string())?;
        }
        self.next_token += 1;
        self.open.push(Listener { token, listen, socket });
        Ok(())
    }

    /// With the ports that they really have.
    pub(super) fn addresses(&self) -> Vec<StreamListen> {
        let real = |listener: &Listener| {
            Some(StreamListen { address: listener.socket.local_addr().ok()?, tls: listener.listen.tls })
        };
        self.open.iter().filter_map(real).collect()
    }

    pub(super) fn accept(&mut self, now: Instant, poller: &Poller, token: u64) -> Accept {
        let Some(listener) = self.open.iter().find(|listener| listener.token == token) else { return Accept::Nothing };
        match listener.socket.accept() {
            Ok((stream, remote)) => Accept::Connection { stream, remote, tls: listener.listen.tls },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Accept::Nothing,
            Err(error) if is_exhausted(&error) => {
                self.rest(now, poller);
                Accept::Exhausted
            }
            Err(_) => Accept::Failed,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.rest_until
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, poller: &Poller) {
        if self.rest_until.is_none_or(|until| now < until) {
            return;
        }
        self.rest_until = None;
        let watch = |listener: &Listener| poller.add(&listener.socket, listener.token, Interest::Read);
        if self.open.iter().map(watch).any(|watched| watched.is_err()) {
            self.rest(now, poller); // tries again
        }
    }

    pub(super) fn rest(&mut self, now: Instant, poller: &Poller) {
        for listener in &self.open {
            let _ = poller.remove(&listener.socket); // fails if it is not watched, which is what is wanted
        }
        self.rest_until = Some(now + REST);
    }
}
