//! Control messages (`cmsg(3)`): what travels beside a datagram.
#![allow(unsafe_code)]

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr;
use std::time::Duration;

use crate::address::{raw_v4, raw_v6};

/// A buffer with the alignment of `cmsghdr`.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct ControlBuffer([u8; CONTROL_BYTES]);

impl ControlBuffer {
    pub(crate) const LEN: usize = CONTROL_BYTES;

    pub(crate) const fn empty() -> Self {
        Self([0; CONTROL_BYTES])
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }

    /// Writes what a send needs: the address to leave from, and the size of the segments. Gives the length used.
    pub(crate) fn write_send(&mut self, leave_from: Option<SocketAddr>, segment: Option<u16>) -> usize {
        let mut used = 0;
        match leave_from {
            Some(SocketAddr::V4(local)) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: raw_v4(*local.ip()),
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                used = self.push(used, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(SocketAddr::V6(local)) => {
                // The scope of a link-local address is its interface; 0 leaves the choice to the route.
                let info = libc::in6_pktinfo { ipi6_addr: raw_v6(*local.ip()), ipi6_ifindex: local.scope_id() as _ };
                used = self.push(used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            None => {}
        }
        if let Some(size) = segment {
            used = self.push(used, libc::SOL_UDP, libc::UDP_SEGMENT, size);
        }
        used
    }

    fn push<T: Copy>(&mut self, at: usize, level: i32, kind: i32, value: T) -> usize {
        let data = at + size_of::<libc::cmsghdr>();
        // SAFETY: CMSG_LEN and CMSG_SPACE only compute.
        let (len, space) = unsafe { (libc::CMSG_LEN(size_of::<T>() as u32), libc::CMSG_SPACE(size_of::<T>() as u32)) };
        assert!(at + space as usize <= CONTROL_BYTES);
        // SAFETY: both writes end at or before `at + space`, inside the buffer. A cmsghdr is plain integers, so zero is
        // valid; `data` is where CMSG_DATA points, as a cmsghdr's size is a multiple of its alignment.
        unsafe {
            let mut header: libc::cmsghdr = std::mem::zeroed();
            header.cmsg_len = len as _;
            header.cmsg_level = level;
            header.cmsg_type = kind;
            ptr::write_unaligned(self.0.as_mut_ptr().add(at).cast(), header);
            ptr::write_unaligned(self.0.as_mut_ptr().add(data).cast(), value);
        }
        at + space as usize
    }
}

/// A header that points nowhere yet.
pub(crate) const fn empty_message() -> libc::mmsghdr {
    let header = libc::msghdr {
        msg_name: ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    };
    libc::mmsghdr { msg_hdr: header, msg_len: 0 }
}

/// What the kernel told about a received datagram.
#[derive(Default)]
pub(crate) struct Received {
    /// The address it was sent to, and the interface it came in by.
    pub(crate) destination: Option<(IpAddr, u32)>,
    /// When, in time since the epoch.
    pub(crate) at: Option<Duration>,
    /// The size of each segment but the last, when the kernel joined several.
    pub(crate) segment: Option<usize>,
}

/// Reads the control messages of `header`, which `recvmmsg` filled in.
///
/// # Safety
/// `msg_control` and `msg_controllen` describe an initialised buffer.
pub(crate) unsafe fn read_received(header: &libc::msghdr) -> Received {
    let mut received = Received::default();
    // SAFETY: the caller vouches for the buffer; the macros stay inside it, and values are read without alignment.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = ptr::read_unaligned(data.cast());
                    let address = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                    received.destination = Some((address.into(), info.ipi_ifindex as u32));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = ptr::read_unaligned(data.cast());
                    let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    received.destination = Some((address.into(), info.ipi6_ifindex as u32));
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time: libc::timespec = ptr::read_unaligned(data.cast());
                    received.at = Some(Duration::new(time.tv_sec as u64, time.tv_nsec as u32));
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size: libc::c_int = ptr::read_unaligned(data.cast());
                    received.segment = usize::try_from(size).ok().filter(|size| *size > 0);
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    received
}

/// 96 bytes are needed at most: `in6_pktinfo` (40), timespec (32) and the GRO size (24).
const CONTROL_BYTES: usize = 128;
