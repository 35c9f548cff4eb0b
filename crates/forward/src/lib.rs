//! To be written.

pub mod dtls;
pub mod path;
pub mod srtp;
pub mod transport;

pub use path::Path;
