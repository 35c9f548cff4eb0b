//! dcsctp, which formats a dump of a packet only when somebody wants to read it (ADR 15). See `build.rs`.
#![cfg(not(test))] // its tests need more than is here
#![allow(warnings, clippy::all, clippy::pedantic)] // not our code

include!(concat!(env!("OUT_DIR"), "/dcsctp/lib.rs"));
