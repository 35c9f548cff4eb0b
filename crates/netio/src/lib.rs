//! UDP in batches: receive with GRO and kernel timestamps, send with GSO, wait with epoll. TCP listeners beside it.
//!
//! Knows addresses and bytes, no protocol. Everything is non-blocking except [`Poller::wait`], and nothing allocates
//! per datagram. The only crate with `unsafe`: each block wraps one system call or one C struct.

mod address;
mod control;
mod limits;
mod poll;
mod receive;
mod send;
mod socket;
mod tcp;

pub use limits::allow_descriptors;
pub use poll::{EventFd, Interest, Poller, Ready};
pub use receive::{Datagram, Receiver};
pub use send::{FanQueue, SendCounters, SendQueue};
pub use socket::{UdpSocket, bind_all};
pub use tcp::{keep_alive, listen_all, prepare};

#[cfg(test)]
mod tests;
