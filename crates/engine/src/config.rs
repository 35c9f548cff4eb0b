//! What an engine is started from, and why it may not start.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};

use forward::PathProtocol;
use forward::srtp::Profile;

/// What an engine is started from.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Number of threads, each with a UDP port of its own.
    pub shards: usize,
    /// Shard `i` binds `udp_port + i`; 0 lets the kernel choose one per shard.
    pub udp_port: u16,
    /// One TCP port for all shards; 0 lets the kernel choose, `None` is no TCP.
    pub tcp_port: Option<u16>,
    /// Local addresses to bind, one socket each.
    pub bind: Vec<IpAddr>,
    /// Seeds every random choice; 0 takes a seed from the system.
    pub seed: u64,
    /// Best first.
    pub srtp_profiles: Vec<Profile>,
}

impl EngineConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_SHARDS).contains(&self.shards) {
            return Err(ConfigError("shards must be between 1 and 256"));
        }
        if self.udp_port != 0 && usize::from(self.udp_port) + self.shards - 1 > usize::from(u16::MAX) {
            return Err(ConfigError("udp_port + shards must stay below 65536"));
        }
        if self.bind.is_empty() {
            return Err(ConfigError("bind needs at least one address"));
        }
        if (1..self.bind.len()).any(|index| self.bind[..index].contains(&self.bind[index])) {
            return Err(ConfigError("bind names an address twice"));
        }
        if self.srtp_profiles.is_empty() {
            return Err(ConfigError("srtp_profiles needs at least one profile"));
        }
        Ok(())
    }

    pub(crate) fn port(&self, shard: usize) -> u16 {
        if self.udp_port == 0 { 0 } else { self.udp_port + shard as u16 }
    }

    pub(crate) fn shard_seed(&self, shard: usize) -> u64 {
        let seed = if self.seed == 0 { RandomState::new().hash_one(shard) } else { self.seed };
        // Far apart, so that the streams of two shards have nothing in common.
        seed.wrapping_add((shard as u64).wrapping_mul(GOLDEN_RATIO))
    }
}

/// A configuration that makes no sense: a sentence that says what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigError(pub &'static str);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Why an engine did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration makes no sense.
    Config(ConfigError),
    /// A socket could not be bound.
    Bind {
        /// Of this kind.
        protocol: PathProtocol,
        /// To this address.
        address: SocketAddr,
        /// For this reason.
        error: io::Error,
    },
    /// The DTLS certificate could not be made.
    Certificate(String),
    /// The system refused a thread or a descriptor.
    System(io::Error),
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Bind { protocol, address, error } => write_bind_error(f, *protocol, *address, error),
            Self::Certificate(error) => write!(f, "the DTLS certificate could not be made: {error}"),
            Self::System(error) => write!(f, "the engine could not start its shards: {error}"),
        }
    }
}

fn write_bind_error(
    f: &mut fmt::Formatter<'_>,
    protocol: PathProtocol,
    address: SocketAddr,
    error: &io::Error,
) -> fmt::Result {
    let (host, port) = (address.ip(), address.port());
    let (name, setting) = match protocol {
        PathProtocol::Udp | PathProtocol::Relay => ("UDP", "udp_port"),
        PathProtocol::Tcp => ("TCP", "tcp_port"),
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            write!(f, "{name} port {port} on {host} is taken: stop the other process or choose another {setting}")
        }
        io::ErrorKind::AddrNotAvailable => {
            write!(f, "{host} is no address of this machine: bind must name local addresses")
        }
        io::ErrorKind::PermissionDenied => {
            write!(f, "{name} port {port} may not be bound by this user: choose one above 1023")
        }
        _ => write!(f, "{name} {address} could not be bound: {error}"),
    }
}

impl std::error::Error for StartError {}

/// More than any machine has cores for.
const MAX_SHARDS: usize = 256;
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
