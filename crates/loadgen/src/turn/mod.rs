//! `loadgen turn`: TURN clients and their peers in one process, to load any server with `ChannelData` and to measure what
//! each relayed packet cost it. JSON lines on stdin and stdout; `bench/turn` drives it.

mod account;
mod datagrams;
mod leg;
mod load;
mod pace;
mod session;
mod stamp;
mod strangers;
mod streams;
mod tally;

use std::io::{self, BufRead};
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

pub(crate) use self::account::Account;
pub(crate) use self::load::Load;
#[cfg(test)]
pub(crate) use self::load::RunReport;
pub(crate) use self::session::Step;
use crate::{Failure, reply};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Request {
    /// Makes allocations and binds a channel on each.
    Prepare(PrepareRequest),
    /// Sends for a while and counts.
    Run(RunRequest),
    /// Lets all allocations go.
    Release,
    /// Sends requests without credentials, each from an address of its own.
    Strangers(StrangersRequest),
}

/// Who allocates what where.
#[derive(Clone, Deserialize)]
pub(crate) struct PrepareRequest {
    pub(crate) server: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) count: usize,
    /// Start of the /16 in which each client has a host.
    pub(crate) clients: Ipv4Addr,
    /// Start of the /16 in which each peer has one.
    pub(crate) peers: Ipv4Addr,
    /// One peer for all that is not ours: nothing of what arrives there is seen here.
    #[serde(default)]
    pub(crate) peer: Option<SocketAddr>,
    #[serde(flatten)]
    pub(crate) account: Account,
    /// Whether our sockets take joined datagrams as they are.
    #[serde(default)]
    pub(crate) gro: bool,
}

/// How clients reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// What to send.
#[derive(Clone, Deserialize)]
pub(crate) struct RunRequest {
    pub(crate) directions: Vec<Direction>,
    /// Packets of a flow that leave together.
    pub(crate) train: usize,
    /// Bytes of application data in each packet.
    pub(crate) payload: usize,
    /// Packets a second in all; 0: as many as the server takes.
    pub(crate) rate_pps: f64,
    pub(crate) warm_up_s: f64,
    /// Length of the measuring window.
    pub(crate) seconds: f64,
    /// The server.
    pub(crate) pid: u32,
    /// The core it is pinned to, and ours.
    pub(crate) cores: [usize; 2],
}

/// Of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    ToPeers,
    ToClients,
}

/// Requests without credentials.
#[derive(Deserialize)]
pub(crate) struct StrangersRequest {
    pub(crate) server: SocketAddr,
    /// The first of `count` hosts in a row.
    pub(crate) first: Ipv4Addr,
    pub(crate) count: u32,
    pub(crate) request: Stranger,
    pub(crate) rate_pps: f64,
}

/// What a stranger asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stranger {
    Binding,
    Allocate,
}

#[derive(Serialize)]
struct Prepared {
    allocations: usize,
}

/// Answers requests until stdin ends.
pub(crate) fn serve() -> Result<(), Failure> {
    let mut load = None;
    for line in io::stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Request::Prepare(request) => {
                load = Some(Load::prepare(&request)?);
                reply(&Prepared { allocations: request.count });
            }
            Request::Run(request) => reply(&load.as_mut().ok_or(Failure::NotPrepared)?.run(&request)?),
            Request::Release => {
                load.take().ok_or(Failure::NotPrepared)?.release()?;
                reply(&Prepared { allocations: 0 });
            }
            Request::Strangers(request) => reply(&strangers::ask(&request)?),
        }
    }
    Ok(())
}
