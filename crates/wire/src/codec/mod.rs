//! The few bytes of each codec's RTP payload that a forwarder reads: where frames and keyframes start, and picture ids.

pub mod av1;
pub mod dependency_descriptor;
pub mod h264;
pub mod red;
pub mod vp8;
pub mod vp9;
