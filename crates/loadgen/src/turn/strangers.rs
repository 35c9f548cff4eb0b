//! Requests without credentials, each from an address that was never seen before: what a server keeps of them is a leak.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netio::{Receiver, SendQueue, UdpSocket};
use serde::Serialize;
use wire::stun::attribute::REQUESTED_TRANSPORT;
use wire::stun::{Class, Method, TransactionId, Writer};

use super::pace::Pace;
use super::{Stranger, StrangersRequest};
use crate::Failure;

/// How it went.
#[derive(Serialize)]
pub(crate) struct StrangersReport {
    asked: u32,
    answered: u64,
}

/// Asks from each address once.
pub(crate) fn ask(request: &StrangersRequest) -> Result<StrangersReport, Failure> {
    let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    let port = socket.local_address().port();
    let sockets: Arc<[UdpSocket]> = Arc::new([socket]);
    let mut queue = SendQueue::new(Arc::clone(&sockets));
    let mut receiver = Receiver::new();
    let mut pace = Pace::new(request.rate_pps, 1, SENDS_AT_ONCE, false, Instant::now());
    let (mut asked, mut answered, mut last) = (0, 0, Instant::now());
    while last.elapsed() < SETTLE {
        let due = pace.trains_due(Instant::now(), 0).min((request.count - asked) as usize);
        for _ in 0..due {
            let host = Ipv4Addr::from(u32::from(request.first) + asked);
            let room = queue.reserve(SocketAddr::from((host, port)), request.server, MAX_REQUEST_BYTES);
            let len = write_request(room, request.request, asked);
            queue.commit(len);
            asked += 1;
            last = Instant::now();
        }
        queue.flush();
        answered += receiver.receive(&sockets[0])? as u64;
    }
    Ok(StrangersReport { asked, answered })
}

fn write_request(room: &mut [u8], request: Stranger, number: u32) -> usize {
    let mut id = [0xee; 12];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let method = match request {
        Stranger::Binding => Method::BINDING,
        Stranger::Allocate => Method::ALLOCATE,
    };
    let mut writer = Writer::new(room, Class::Request, method, TransactionId(id));
    if request == Stranger::Allocate {
        writer.attribute(REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    }
    writer.finish().unwrap_or(0)
}

const MAX_REQUEST_BYTES: usize = 64;
const SENDS_AT_ONCE: usize = 64;
const SETTLE: Duration = Duration::from_millis(500);
