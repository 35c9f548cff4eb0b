//! Hands runs to the kernel: one `sendmmsg` for up to 64 of them.
#![allow(unsafe_code)]

use std::io;
use std::ptr;

use super::lane::Run;
use crate::UdpSocket;
use crate::address::RawAddress;
use crate::control::{ControlBuffer, empty_message};
use crate::socket::check;

/// The C structs of one call, reused.
pub(super) struct Batch {
    names: Box<[RawAddress]>,
    controls: Box<[ControlBuffer]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            names: vec![RawAddress::empty(); MAX_MESSAGES].into(),
            controls: vec![ControlBuffer::empty(); MAX_MESSAGES].into(),
            vectors: vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; MAX_MESSAGES].into(),
            headers: vec![empty_message(); MAX_MESSAGES].into(),
        }
    }

    /// Sends runs from the front and gives how many were taken; an error is about the first of them.
    pub(super) fn send(&mut self, socket: &UdpSocket, slab: &[u8], runs: &[Run]) -> io::Result<usize> {
        let count = runs.len().min(MAX_MESSAGES);
        let slots = self.names.iter_mut().zip(&mut self.controls).zip(&mut self.vectors).zip(&mut self.headers);
        for ((((name, control), vector), message), run) in slots.zip(runs) {
            let bytes = &slab[run.start..run.start + run.len];
            *vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            let leave_from = socket.is_wildcard().then_some(run.local);
            let segment = (run.count > 1).then_some(run.segment as u16);
            let header = &mut message.msg_hdr;
            header.msg_namelen = name.set(&run.remote);
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_controllen = control.write_send(leave_from, segment) as _;
            // A message without control data must not point at any.
            header.msg_control = if header.msg_controllen == 0 { ptr::null_mut() } else { control.as_mut_ptr() };
        }
        // SAFETY: the first `count` headers were aimed just now at `slab`, which the kernel only reads, and at arrays of
        // ours; all live through the call.
        let sent = check(unsafe {
            libc::sendmmsg(socket.raw_fd(), self.headers.as_mut_ptr(), count as libc::c_uint, libc::MSG_DONTWAIT as _)
        })?;
        Ok(sent as usize)
    }
}

const MAX_MESSAGES: usize = 64;
