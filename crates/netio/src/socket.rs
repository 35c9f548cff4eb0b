//! One UDP socket: bound, non-blocking, with big buffers and every option that the batches rely on.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::address::RawAddress;

/// A bound UDP socket. An IPv6 socket takes IPv6 only, so that each family has its own.
pub struct UdpSocket {
    fd: OwnedFd,
    local: SocketAddr,
    gso: bool,
}

impl UdpSocket {
    /// Binds `address`; port 0 lets the kernel choose one.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers; the result is checked.
        let fd = check(unsafe { libc::socket(family, kind, 0) })?;
        // SAFETY: `fd` is fresh and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };

        if address.is_ipv6() {
            set(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
        }
        let mut raw = RawAddress::empty();
        let len = raw.set(&address);
        // SAFETY: `raw` holds an address of `len` bytes.
        check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const raw).cast(), len) })?;

        let mut socket = Self { local: local_address(&fd)?, fd, gso: false };
        socket.set_options()?;
        Ok(socket)
    }

    /// Where it is bound; an unspecified host stands for every local address of the family.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// What it sends is never cut in pieces on the way: datagrams above the route's MTU are refused.
    pub fn set_dont_fragment(&self) -> io::Result<()> {
        match self.local {
            SocketAddr::V4(_) => set(&self.fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO),
            SocketAddr::V6(_) => set(&self.fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO),
        }
    }

    /// Whether a datagram may leave from `local` by this socket.
    pub fn serves(&self, local: &SocketAddr) -> bool {
        self.local.port() == local.port()
            && self.local.is_ipv4() == local.is_ipv4()
            && (self.is_wildcard() || self.local.ip() == local.ip())
    }

    /// Sends one datagram alone, as programs do that know no batches. Where the kernel has no room it is lost, and that is an error.
    pub fn send_to(&self, bytes: &[u8], remote: SocketAddr) -> io::Result<()> {
        let mut raw = RawAddress::empty();
        let len = raw.set(&remote);
        // SAFETY: `bytes` and `raw` have the lengths that are passed, and live through the call.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                libc::MSG_DONTWAIT,
                (&raw const raw).cast(),
                len,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Datagrams that the kernel dropped since the bind, for lack of room in the receive buffer above all.
    pub fn kernel_drops(&self) -> u64 {
        // SO_MEMINFO rather than SO_RXQ_OVFL: it costs nothing per datagram, and counts without a further arrival.
        let mut info = [0u32; MEMINFO_VARS];
        let mut len = size_of_val(&info) as libc::socklen_t;
        // SAFETY: `info` has room for `len` bytes.
        let result = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                info.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        if result == 0 { u64::from(info[MEMINFO_DROPS]) } else { 0 }
    }

    /// Bytes of the receive buffer that the kernel granted (it doubles what is asked, up to `net.core.rmem_max`).
    pub fn receive_buffer_bytes(&self) -> u64 {
        get(&self.fd, libc::SOL_SOCKET, libc::SO_RCVBUF).map_or(0, |bytes| bytes as u64)
    }

    /// Whether what the kernel joined (GRO) is received as it is; on from the start. Off, every datagram comes alone, as most
    /// programs receive, and on one machine the sender pays for the splitting.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        set(&self.fd, libc::SOL_UDP, libc::UDP_GRO, libc::c_int::from(on))
    }

    pub(crate) fn is_wildcard(&self) -> bool {
        self.local.ip().is_unspecified()
    }

    pub(crate) fn supports_gso(&self) -> bool {
        self.gso
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn set_options(&mut self) -> io::Result<()> {
        let fd = &self.fd;
        if self.is_wildcard() {
            match self.local {
                SocketAddr::V4(_) => set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
                SocketAddr::V6(_) => set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
            }
        }
        set(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        grow(fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?;
        grow(fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)?;
        // Kernels without these two still work, one datagram at a time.
        let _ = set(fd, libc::SOL_UDP, libc::UDP_GRO, 1);
        self.gso = get(fd, libc::SOL_UDP, libc::UDP_SEGMENT).is_ok();
        Ok(())
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Binds one socket per host, all on the same port. With port 0 the kernel chooses one that is free on all of them.
///
/// The unspecified IPv6 host is left out on a machine without IPv6, unless it is the only one. The error names the
/// address that could not be bound.
pub fn bind_all(hosts: &[IpAddr], port: u16) -> Result<Vec<UdpSocket>, (SocketAddr, io::Error)> {
    bind_each(hosts, port, UdpSocket::bind, |socket| socket.local_address().port())
}

/// Binds one socket of any kind per host by `bind`; `port_of` tells where it ended up.
pub(crate) fn bind_each<S>(
    hosts: &[IpAddr],
    port: u16,
    bind: impl Fn(SocketAddr) -> io::Result<S>,
    port_of: impl Fn(&S) -> u16,
) -> Result<Vec<S>, (SocketAddr, io::Error)> {
    let mut attempts = 0;
    loop {
        match bind_same_port(hosts, port, &bind, &port_of) {
            // The port that the kernel chose for the first host is taken on another.
            Err((_, error)) if port == 0 && error.kind() == io::ErrorKind::AddrInUse && attempts < BIND_ATTEMPTS => {
                attempts += 1;
            }
            result => return result,
        }
    }
}

fn bind_same_port<S>(
    hosts: &[IpAddr],
    mut port: u16,
    bind: impl Fn(SocketAddr) -> io::Result<S>,
    port_of: impl Fn(&S) -> u16,
) -> Result<Vec<S>, (SocketAddr, io::Error)> {
    let mut sockets = Vec::with_capacity(hosts.len());
    for host in hosts {
        let address = SocketAddr::new(*host, port);
        match bind(address) {
            Ok(socket) => {
                port = port_of(&socket);
                sockets.push(socket);
            }
            Err(error) if hosts.len() > 1 && is_missing_family(&address, &error) => {}
            Err(error) => return Err((address, error)),
        }
    }
    Ok(sockets)
}

fn is_missing_family(address: &SocketAddr, error: &io::Error) -> bool {
    let missing = [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL];
    address.is_ipv6()
        && address.ip().is_unspecified()
        && error.raw_os_error().is_some_and(|code| missing.contains(&code))
}

fn local_address(fd: &OwnedFd) -> io::Result<SocketAddr> {
    let mut raw = RawAddress::empty();
    let mut len = RawAddress::LEN;
    // SAFETY: `raw` has room for `len` bytes.
    check(unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut raw).cast(), &raw mut len) })?;
    raw.get().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
}

/// Asks for a big buffer past the system's limit where we may, else up to it.
fn grow(fd: &OwnedFd, force: libc::c_int, polite: libc::c_int) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, force, BUFFER_BYTES).or_else(|_| set(fd, libc::SOL_SOCKET, polite, BUFFER_BYTES))
}

pub(crate) fn set(fd: &impl AsRawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is an int of `len` bytes.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    check(result).map(drop)
}

fn get(fd: &OwnedFd, level: libc::c_int, name: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` has room for `len` bytes.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len) };
    check(result).map(|_| value)
}

/// -1 is an error whose code waits in `errno`.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// 4 MiB: 30 ms of 1 Gbit/s, so that a thread that was scheduled away for that long loses nothing.
const BUFFER_BYTES: libc::c_int = 4 << 20;
const BIND_ATTEMPTS: usize = 16;
/// From `linux/sock_diag.h`; libc has no names for them.
const MEMINFO_VARS: usize = 9;
const MEMINFO_DROPS: usize = 8;

#[cfg(test)]
pub(crate) fn disable_checksums(socket: &UdpSocket) {
    set(&socket.fd, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).expect("an option of every kernel");
}
