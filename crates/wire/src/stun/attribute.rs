//! Attribute types.

/// One attribute, undecoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Type; below 0x8000 comprehension is required.
    pub kind: u16,
    /// Value without padding.
    pub value: &'a [u8],
}

macro_rules! attributes {
    ($($name:ident = $kind:literal,)*) => {
        $(#[allow(missing_docs)] pub const $name: u16 = $kind;)*

        /// Whether this crate knows the attribute.
        pub fn is_known(kind: u16) -> bool {
            matches!(kind, $($kind)|*)
        }
    };
}

attributes! {
    MAPPED_ADDRESS = 0x0001,
    USERNAME = 0x0006,
    MESSAGE_INTEGRITY = 0x0008,
    ERROR_CODE = 0x0009,
    UNKNOWN_ATTRIBUTES = 0x000a,
    CHANNEL_NUMBER = 0x000c,
    LIFETIME = 0x000d,
    XOR_PEER_ADDRESS = 0x0012,
    DATA = 0x0013,
    REALM = 0x0014,
    NONCE = 0x0015,
    XOR_RELAYED_ADDRESS = 0x0016,
    REQUESTED_ADDRESS_FAMILY = 0x0017,
    EVEN_PORT = 0x0018,
    REQUESTED_TRANSPORT = 0x0019,
    DONT_FRAGMENT = 0x001a,
    MESSAGE_INTEGRITY_SHA256 = 0x001c,
    PASSWORD_ALGORITHM = 0x001d,
    USERHASH = 0x001e,
    XOR_MAPPED_ADDRESS = 0x0020,
    RESERVATION_TOKEN = 0x0022,
    PRIORITY = 0x0024,
    USE_CANDIDATE = 0x0025,
    ADDITIONAL_ADDRESS_FAMILY = 0x8000,
    ADDRESS_ERROR_CODE = 0x8001,
    PASSWORD_ALGORITHMS = 0x8002,
    ICMP = 0x8004,
    SOFTWARE = 0x8022,
    ALTERNATE_SERVER = 0x8023,
    FINGERPRINT = 0x8028,
    ICE_CONTROLLED = 0x8029,
    ICE_CONTROLLING = 0x802a,
    NETWORK_COST = 0xc057,
}
