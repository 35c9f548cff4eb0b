//! DTLS 1.2 with SRTP keying (RFC 6347, RFC 5764) over the system's OpenSSL, without sockets.
//!
//! A transport is always the server; the client role exists for tests. Why this library: docs/adr.

mod certificate;
mod endpoint;
mod flight;
mod link;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use certificate::parse_fingerprint;
pub use certificate::{Certificate, DtlsError};
#[cfg(feature = "testing")]
pub(crate) use certificate::{context, format_fingerprint, self_signed};
pub(crate) use endpoint::{DtlsEvent, Endpoint, Role};
