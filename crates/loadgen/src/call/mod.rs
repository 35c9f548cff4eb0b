//! `loadgen call`: participants of calls in one process, joined through LiveKit's signalling, so that any server that speaks it can be
//! loaded and measured. JSON lines on stdin and stdout; `bench/calls` drives it.

mod continuity;
mod crew;
mod data;
mod descriptor;
mod endpoint;
mod fan_out;
mod full;
mod impair;
mod inbound;
mod latency;
mod load;
mod media;
mod messages;
mod meter;
mod offering;
mod participant;
mod peer;
mod player;
mod publisher;
mod report;
mod roster;
mod sdp;
mod sequence;
mod signal;
mod sink;
mod stamp;
mod subscriber;
mod token;
mod wishes;

use std::io::{self, BufRead};
use std::sync::mpsc::{self, Receiver, TryRecvError};

use serde::{Deserialize, Serialize};

use self::data::{DataRequest, StreamRequest};
use self::impair::Impairment;
use self::load::{ChurnRequest, JoinRequest, Load, MeasureRequest};
pub(crate) use self::media::MediaError;
use self::report::{JoinReport, WindowReport};
use crate::{Failure, reply};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Request {
    /// Lets participants join, and waits until what they want arrives.
    Join(JoinRequest),
    /// Counts for a while.
    Measure(MeasureRequest),
    /// Lets the last ones leave.
    Leave { count: usize },
    /// Counts while participants leave and join anew.
    Churn(ChurnRequest),
    /// The first participant sends messages to the others.
    Data(DataRequest),
    /// The first participant sends one long stream to the others.
    Stream(StreamRequest),
    /// Drops or delays packets that arrive, before they are counted.
    Impair(Impairment),
}

#[derive(Serialize)]
struct Left {
    left: usize,
}

#[derive(Serialize)]
struct Churned {
    #[serde(flatten)]
    joined: JoinReport,
    #[serde(flatten)]
    measured: WindowReport,
}

/// Answers requests until stdin ends. The call goes on between them. A request that fails is answered, and the next one is read.
pub(crate) fn serve() -> Result<(), Failure> {
    // Three for each participant. If there are too few, joins will say so.
    let _ = netio::allow_descriptors();
    let (mut load, requests) = (Load::new()?, requests());
    loop {
        match requests.try_recv() {
            Ok(line) => {
                if let Err(failure) = answer(&mut load, &line?) {
                    reply(&serde_json::json!({ "error": failure.to_string() }));
                }
            }
            Err(TryRecvError::Empty) => load.turn()?,
            Err(TryRecvError::Disconnected) => break,
        }
    }
    load.leave(usize::MAX);
    Ok(())
}

fn answer(load: &mut Load, line: &str) -> Result<(), Failure> {
    match serde_json::from_str(line)? {
        Request::Join(request) => reply(&load.join(request)?),
        Request::Measure(request) => reply(&load.measure(request)?),
        Request::Leave { count } => reply(&Left { left: load.leave(count) }),
        Request::Churn(request) => {
            let (joined, measured) = load.churn(&request)?;
            reply(&Churned { joined: joined.without_subscriptions(), measured });
        }
        Request::Data(request) => reply(&load.data(&request)?),
        Request::Stream(request) => reply(&load.stream(&request)?),
        Request::Impair(impairment) => {
            load.impair(impairment);
            reply(&serde_json::json!({}));
        }
    }
    Ok(())
}

/// Lines of stdin, read by a thread of their own: the call does not wait for them.
fn requests() -> Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
