//! `instructions SCENARIO` moves a fixed load through the sans-IO core, and says how many packets that were. Callgrind counts what
//! happens inside functions of the name `counted`, and nothing else: `python -m bench instructions` runs it.

mod call;
mod packets;
mod turn;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::call::Call;
use crate::packets::{Audio, Video};
use crate::turn::Turn;

fn main() -> ExitCode {
    let scenario = std::env::args().nth(1).unwrap_or_default();
    let packets = match scenario.as_str() {
        "video" => Call::connect(CONSUMERS, Video::new()).run(),
        "audio" => Call::connect(CONSUMERS, Audio::new()).run(),
        "relay-to-peer" => Turn::allocate(ALLOCATIONS).run_to_peer(),
        "relay-to-client" => Turn::allocate(ALLOCATIONS).run_to_client(),
        _ => return usage(),
    };
    let said = writeln!(io::stdout(), "{{\"packets\": {packets}}}");
    said.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn usage() -> ExitCode {
    // Nobody reads it when this fails.
    let _ = writeln!(io::stderr(), "usage: instructions video|audio|relay-to-peer|relay-to-client");
    ExitCode::from(2)
}

/// Of one publisher.
const CONSUMERS: usize = 50;
/// Each with one channel.
const ALLOCATIONS: u16 = 50;
