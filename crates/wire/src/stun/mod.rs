//! STUN messages (RFC 8489) with the attributes of ICE (RFC 8445 §16.1) and TURN (RFC 8656 §18).
//!
//! No keys in here: a reader hands out what the MAC covers, a writer takes a closure that computes it.

mod address;
pub mod attribute;
mod crc;
mod message;
mod write;

pub use attribute::Attribute;
pub use message::{Attributes, IntegrityInput, Message};
pub use write::Writer;

/// Second word of every message since RFC 5389.
pub const MAGIC_COOKIE: u32 = 0x2112_A442;
/// Bytes in front of the attributes.
pub const HEADER_LEN: usize = 20;

/// Class of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Wants a response.
    Request,
    /// Wants none.
    Indication,
    /// Success response.
    Success,
    /// Error response.
    Error,
}

/// Method of a message, 12 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(pub u16);

#[allow(missing_docs)]
impl Method {
    pub const BINDING: Self = Self(0x001);
    pub const ALLOCATE: Self = Self(0x003);
    pub const REFRESH: Self = Self(0x004);
    pub const SEND: Self = Self(0x006);
    pub const DATA: Self = Self(0x007);
    pub const CREATE_PERMISSION: Self = Self(0x008);
    pub const CHANNEL_BIND: Self = Self(0x009);
}

/// Matches a response to its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// The class bits sit in the middle of the method bits (RFC 8489 §5).
fn split_type(message_type: u16) -> (Class, Method) {
    let class = match (message_type >> 4) & 0x01 | (message_type >> 7) & 0x02 {
        0 => Class::Request,
        1 => Class::Indication,
        2 => Class::Success,
        _ => Class::Error,
    };
    let method = message_type & 0x000f | (message_type >> 1) & 0x0070 | (message_type >> 2) & 0x0f80;
    (class, Method(method))
}

fn join_type(class: Class, Method(method): Method) -> u16 {
    let class = match class {
        Class::Request => 0x000,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    class | method & 0x000f | (method & 0x0070) << 1 | (method & 0x0f80) << 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_splits_and_joins() {
        assert_eq!(split_type(0x0101), (Class::Success, Method::BINDING));
        for message_type in 0..0x4000 {
            let (class, method) = split_type(message_type);
            assert_eq!(join_type(class, method), message_type);
        }
    }
}
