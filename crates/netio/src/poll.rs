//! Waiting: epoll over sockets, and an eventfd that another thread may signal.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use crate::socket::check;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// There is something to read.
    Read,
    /// There is something to read, or room to write.
    ReadWrite,
}

/// One descriptor that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// What `add` was called with.
    pub token: u64,
    /// Something can be read.
    pub readable: bool,
    /// Something can be written.
    pub writable: bool,
}

/// A level-triggered epoll instance.
pub struct Poller {
    fd: OwnedFd,
    events: Box<[libc::epoll_event]>,
    /// `epoll_pwait2` (Linux 5.11) waits with nanoseconds; without it waits are rounded up to milliseconds.
    precise: bool,
}

impl Poller {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` is fresh and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; READY_AT_ONCE].into(), precise: true })
    }

    /// Waits for `source` from now on, under `token`.
    pub fn add(&self, source: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, source, token, interest)
    }

    /// Changes what `source` is waited for.
    pub fn modify(&self, source: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, source, token, interest)
    }

    /// Waits for `source` no longer. Closing it does the same.
    pub fn remove(&self, source: &impl AsFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, source, 0, Interest::Read)
    }

    /// Blocks until something is ready or the time is up. A signal ends the wait early, with nothing ready.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<impl Iterator<Item = Ready> + use<'_>> {
        let count = match self.wait_raw(timeout) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        Ok(self.events[..count].iter().map(|event| {
            let flags = event.events as libc::c_int;
            // An error or a hang-up is learned by reading.
            Ready {
                token: event.u64,
                readable: flags & (libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP) != 0,
                writable: flags & libc::EPOLLOUT != 0,
            }
        }))
    }

    fn wait_raw(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        if self.precise {
            match self.wait_precise(timeout) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => self.precise = false,
                result => return result,
            }
        }
        let millis =
            timeout.map_or(-1, |timeout| timeout.as_nanos().div_ceil(1_000_000).min(MAX_WAIT_MS) as libc::c_int);
        // SAFETY: `events` has room for the count that is passed.
        let count = check(unsafe {
            libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), self.events.len() as libc::c_int, millis)
        })?;
        Ok(count as usize)
    }

    fn wait_precise(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let time = timeout.map(|timeout| libc::timespec {
            tv_sec: timeout.as_secs().min(MAX_WAIT_MS as u64 / 1000) as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
        });
        let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: `events` has room for the count that is passed; `time` is null or points to a live timespec. The raw
        // call, because the C library's wrapper is younger than the kernels and libraries we run on.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as libc::c_int,
                time,
                ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        check(count as libc::c_int).map(|count| count as usize)
    }

    fn control(&self, operation: libc::c_int, source: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let flags = match interest {
            Interest::Read => libc::EPOLLIN,
            Interest::ReadWrite => libc::EPOLLIN | libc::EPOLLOUT,
        };
        let mut event = libc::epoll_event { events: flags as u32, u64: token };
        let source = source.as_fd().as_raw_fd();
        // SAFETY: `event` lives through the call.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, source, &raw mut event) }).map(drop)
    }
}

/// A flag that another thread, or another event loop, can wait for.
pub struct EventFd {
    file: File,
}

impl EventFd {
    /// One that is not signalled.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        // SAFETY: `fd` is fresh and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { file: File::from(fd) })
    }

    /// Makes it readable until `clear`.
    pub fn signal(&self) {
        // Fails only when the counter is full, and then it is readable already.
        let _ = (&self.file).write(&1u64.to_ne_bytes());
    }

    /// Takes the signal back, if there was one.
    pub fn clear(&self) {
        let _ = (&self.file).read(&mut [0; 8]);
    }

    /// The descriptor, for an event loop outside.
    pub fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

const READY_AT_ONCE: usize = 16;
/// An hour: far below what the system calls can take.
const MAX_WAIT_MS: u128 = 3_600_000;
