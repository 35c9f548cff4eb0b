//! DTLS 1.2, always as server (RFC 6347, RFC 5764).

mod certificate;

pub use certificate::{Certificate, DtlsError};
