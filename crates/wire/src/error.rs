//! Why bytes from the network were refused.

/// Why a parser refused its input. Plain and `Copy`: it becomes a drop reason, never a message to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// The bytes end before the fields they announce.
    #[error("truncated")]
    Truncated,
    /// A version, magic cookie or type says that this is another protocol.
    #[error("not this protocol")]
    Protocol,
    /// A length field contradicts the bytes around it.
    #[error("bad length field")]
    Length,
    /// The padding count is zero, too large or misaligned.
    #[error("bad padding")]
    Padding,
    /// A field holds a value that its specification forbids.
    #[error("bad value")]
    Value,
}
