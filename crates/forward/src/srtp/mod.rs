//! SRTP and SRTCP (RFC 3711, RFC 7714) for the three profiles that browsers offer. Contexts keep their key schedules.
//!
//! Packets are handled in place. What is authenticated moves state; what is not, never does.

mod cipher;
mod inbound;
mod keys;
mod outbound;
mod profile;
mod replay;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use inbound::{SrtpInbound, SrtpRejection};
pub use keys::{KEYING_MATERIAL_MAX, KeyingMaterial};
pub use outbound::SrtpOutbound;
pub use profile::{Profile, UnknownProfile};

/// The E flag of SRTCP (RFC 3711 section 3.4): the packet is encrypted.
const SRTCP_ENCRYPTED: u32 = 1 << 31;
/// RFC 3711 section 9.2: at most 2^48 SRTP and 2^31 SRTCP packets under one key.
const RTP_INDEX_END: u64 = 1 << 48;
const RTCP_INDEX_END: u32 = 1 << 31;
