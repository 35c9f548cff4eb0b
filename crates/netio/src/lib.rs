//! UDP in batches: receive with GRO and kernel timestamps, send with GSO, wait with epoll.
//!
//! Knows addresses and bytes, no protocol. Everything is non-blocking except [`Poller::wait`], and nothing allocates
//! per datagram. The only crate with `unsafe`: each block wraps one system call or one C struct.

mod address;
mod control;
mod poll;
mod receive;
mod send;
mod socket;

pub use poll::{EventFd, Interest, Poller, Ready};
pub use receive::{Datagram, Receiver};
pub use send::{SendCounters, SendQueue};
pub use socket::{UdpSocket, bind_all};

#[cfg(test)]
mod tests;
