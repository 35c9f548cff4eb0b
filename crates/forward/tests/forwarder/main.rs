//! The forwarder as its clients see it, in virtual time over emulated links. One file per behaviour.
//!
//! Runs twice: `tests/piped` takes it in, and `support::world` spreads the clients over shards there.
#![allow(unreachable_pub)]

mod codecs;
mod continuity_across_mute_and_dtx;
mod even_pictures;
mod hostile;
mod hostile_publishers;
mod joiner_gets_picture;
mod keyframe_requests;
mod nack_rtx;
mod padding_only;
mod panics;
mod redundant_audio;
mod reordering_and_duplicates;
mod repair_quality;
mod sender_report_timestamps;
pub(crate) mod support;
mod switching;
mod tail_probes;
mod transport_reports;
mod twcc_feedback;
mod wrap_around;
