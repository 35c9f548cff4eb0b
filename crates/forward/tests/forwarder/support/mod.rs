//! Two endpoints and more in virtual time: real client transports, one forwarder, an emulated link between each of them.
#![allow(missing_docs)]

mod client;
mod media;
mod receiver;
mod world;

pub use client::{Received, RtpSpec};
pub use media::{Audio, SIMULCAST, Video, VideoConfig};
pub use receiver::{Receiver, origin};
pub use world::{Consume, Publish, UNIX_AT_START, World, ms, stranger, usual_extensions};
