//! The forwarder as its clients see it, in virtual time over emulated links. One file per behaviour.
#![allow(unreachable_pub)]

mod codecs;
mod continuity_across_mute_and_dtx;
mod hostile;
mod joiner_gets_picture;
mod keyframe_requests;
mod nack_rtx;
mod padding_only;
mod reordering_and_duplicates;
mod sender_report_timestamps;
mod support;
mod switching;
mod twcc_feedback;
mod wrap_around;
