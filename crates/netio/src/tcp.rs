//! TCP listeners, and the options of connections that carry media. Reading and writing is the standard library's.
#![allow(unsafe_code)]

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::address::RawAddress;
use crate::socket::{bind_each, check, set};

/// Listens on every host on the same port, with [`bind_all`](crate::bind_all)'s rules.
pub fn listen_all(hosts: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    bind_each(hosts, port, listen, |listener| listener.local_addr().map_or(0, |address| address.port()))
}

/// Makes a connection fit for media: it neither blocks nor waits for more to send, and the kernel queues little.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    set(stream, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, UNSENT_BYTES)
}

/// Ends a connection whose other end is gone without a word, within about two minutes.
pub fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    set(stream, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set(stream, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, KEEP_ALIVE_IDLE_S)?;
    set(stream, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, KEEP_ALIVE_INTERVAL_S)?;
    set(stream, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, KEEP_ALIVE_PROBES)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; the result is checked.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: `fd` is fresh and owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if address.is_ipv6() {
        set(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    // A restarted server need not wait for the old one's connections to be forgotten.
    set(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    let mut raw = RawAddress::empty();
    let len = raw.set(&address);
    // SAFETY: `raw` holds an address of `len` bytes.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const raw).cast(), len) })?;
    // SAFETY: no pointers; the result is checked.
    check(unsafe { libc::listen(fd.as_raw_fd(), BACKLOG) })?;
    Ok(TcpListener::from(fd))
}

/// What the kernel takes beyond what is on the way: a quarter of a second of 4 Mbit/s. The rest waits where it can be dropped.
const UNSENT_BYTES: libc::c_int = 128 << 10;
const BACKLOG: libc::c_int = 1024;
/// Probes after a minute of silence, four of them, 15 s apart.
const KEEP_ALIVE_IDLE_S: libc::c_int = 60;
const KEEP_ALIVE_INTERVAL_S: libc::c_int = 15;
const KEEP_ALIVE_PROBES: libc::c_int = 4;
