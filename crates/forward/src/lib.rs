//! Moves packets from publishers to subscribers, without sockets and without a clock (sans I/O).
//!
//! [`Transport`](transport::Transport) is one client's ICE-lite, DTLS, SRTP and SCTP; [`Forwarder`] composes the
//! transports of one shard with producers (media that clients send) and consumers (media that we send to clients).

pub mod dtls;
pub mod srtp;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

mod clock;
mod command;
mod consumer;
mod counters;
mod deadlines;
mod egress;
mod event;
mod forwarder;
mod fuse;
mod ice;
mod id;
mod keyframe;
mod latency;
mod levels;
mod nack;
mod path;
mod pipe;
mod producer;
mod report;
mod ring;
mod rng;
mod rtx;
mod sctp;
mod sink;
mod twcc;

pub use command::*;
pub use counters::Counters;
pub use event::{Event, TransportReport};
pub use forwarder::{Forwarder, ForwarderConfig};
pub use id::{ConsumerId, ProducerId, TransportId};
pub use latency::LatencyHistogram;
pub use path::{Path, PathProtocol};
pub use pipe::{PipeBatch, PipeCommand, PipeId};
pub use sink::DatagramSink;
