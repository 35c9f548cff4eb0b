//! Client side of the bench. Speaks JSON lines on stdin and stdout: `loadgen call` for calls with any server, `loadgen` for the engine
//! alone, `loadgen turn` for TURN; `loadgen floor` and `loadgen relay` are the floors that the engine is measured against.

mod call;
mod cpu;
mod floor;
mod load;
mod media;
mod relay;
mod turn;
mod usage;

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::floor::FloorRequest;
use crate::load::{Credentials, Load, RunRequest};
use crate::turn::Step;

/// Why the load generator gives up; ends up in the `error` of a reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A request is not the JSON that it should be.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A key was refused.
    #[error("the cryptography library refused a key")]
    Crypto,
    /// Clients did not connect.
    #[error("{connected} of {all} clients connected within {seconds} s")]
    NotConnected {
        /// How many did.
        connected: usize,
        /// How many should have.
        all: usize,
        /// How long they had.
        seconds: u64,
    },
    /// `connect` and `run` need `prepare` first.
    #[error("no client is prepared")]
    NotPrepared,
    /// A TURN server said no.
    #[error("the server refused {request}: {code} {reason}")]
    Refused {
        /// To what.
        request: Step,
        /// ERROR-CODE.
        code: u16,
        /// Its phrase.
        reason: String,
    },
    /// A TURN server said nothing.
    #[error("the server did not answer {request}")]
    Silent {
        /// To what.
        request: Step,
    },
    /// An allocation without a relayed address is none.
    #[error("the server's answer to Allocate has no relayed address")]
    NoRelayed,
    /// TLS failed.
    #[error("TLS handshake: {reason}")]
    Handshake {
        /// OpenSSL's words.
        reason: String,
    },
    /// The process to measure has ended.
    #[error("there is no process {pid}")]
    ServerGone {
        /// What was asked for.
        pid: u32,
    },
    /// A run that makes no sense.
    #[error(
        "a run needs a direction whose far end is ours, trains of one packet or more, and payloads of 20 to 1400 bytes"
    )]
    NoSuchRun,
    /// A call cannot be made.
    #[error("{reason}")]
    Call {
        /// What is wrong.
        reason: String,
    },
    /// What publishers should send cannot be read.
    #[error("{0}")]
    Media(#[from] call::MediaError),
    /// Wrong arguments.
    #[error("usage: loadgen relay HOST plain|joined [COALESCE_US]")]
    NoSuchRelay,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Request {
    Prepare { port: u16, count: usize },
    Connect { fingerprint: String, servers: Vec<Credentials> },
    Run(RunRequest),
    Drain { seconds: f64 },
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some("floor") => run_floor(),
        Some("relay") => relay::run(arguments),
        Some("turn") => turn::serve(),
        Some("call") => call::serve(),
        _ => serve(),
    };
    if let Err(failure) = result {
        reply(&serde_json::json!({ "error": failure.to_string() }));
    }
}

fn run_floor() -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let request: FloorRequest = serde_json::from_str(&line)?;
    reply(&floor::run(&request)?);
    Ok(())
}

fn serve() -> Result<(), Failure> {
    let mut load = None;
    for line in io::stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Request::Prepare { port, count } => {
                let prepared = Load::prepare(port, count)?;
                reply(&serde_json::json!({ "clients": prepared.credentials() }));
                load = Some(prepared);
            }
            Request::Connect { fingerprint, servers } => {
                let load = load.as_mut().ok_or(Failure::NotPrepared)?;
                load.connect(&fingerprint, &servers)?;
                reply(&serde_json::json!({ "sinks": load.sinks()? }));
            }
            Request::Run(request) => reply(&load.as_mut().ok_or(Failure::NotPrepared)?.run(&request)?),
            Request::Drain { seconds } => {
                load.as_mut().ok_or(Failure::NotPrepared)?.drain(seconds)?;
                reply(&serde_json::json!({}));
            }
        }
    }
    Ok(())
}

/// One line on stdout.
pub(crate) fn reply(value: &impl Serialize) {
    let line = serde_json::to_string(value).unwrap_or_default();
    let mut out = io::stdout().lock();
    // The parent is gone when this fails, and stdin ends next.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
