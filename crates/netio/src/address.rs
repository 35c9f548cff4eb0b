//! Socket addresses as the kernel wants them.
#![allow(unsafe_code)]

use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for one IPv4 or IPv6 socket address of the kernel.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union RawAddress {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl RawAddress {
    pub(crate) const LEN: libc::socklen_t = size_of::<Self>() as libc::socklen_t;

    pub(crate) const fn empty() -> Self {
        // The longest member, so that every byte is initialised.
        Self {
            v6: libc::sockaddr_in6 {
                sin6_family: 0,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
                sin6_scope_id: 0,
            },
        }
    }

    /// Writes `address` and gives the length that the kernel wants to hear.
    pub(crate) fn set(&mut self, address: &SocketAddr) -> libc::socklen_t {
        match address {
            SocketAddr::V4(v4) => {
                self.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: raw_v4(*v4.ip()),
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>() as libc::socklen_t
            }
            SocketAddr::V6(v6) => {
                self.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: raw_v6(*v6.ip()),
                    sin6_scope_id: v6.scope_id(),
                };
                size_of::<libc::sockaddr_in6>() as libc::socklen_t
            }
        }
    }

    /// The address that the kernel wrote; `None` for a family other than IPv4 and IPv6.
    pub(crate) fn get(&self) -> Option<SocketAddr> {
        // SAFETY: every byte is initialised (see `empty`), and each member is plain integers.
        unsafe {
            match libc::c_int::from(self.family) {
                libc::AF_INET => {
                    let address = Ipv4Addr::from(u32::from_be(self.v4.sin_addr.s_addr));
                    Some(SocketAddrV4::new(address, u16::from_be(self.v4.sin_port)).into())
                }
                // Flow labels are dropped: a client may change them, and they are no part of its identity.
                libc::AF_INET6 => {
                    let address = Ipv6Addr::from(self.v6.sin6_addr.s6_addr);
                    Some(SocketAddrV6::new(address, u16::from_be(self.v6.sin6_port), 0, self.v6.sin6_scope_id).into())
                }
                _ => None,
            }
        }
    }
}

pub(crate) fn raw_v4(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from(address).to_be() }
}

pub(crate) fn raw_v6(address: Ipv6Addr) -> libc::in6_addr {
    libc::in6_addr { s6_addr: address.octets() }
}
