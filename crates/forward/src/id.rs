//! Ids minted by whoever drives the forwarder; never reused within a process.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// One client's transport.
    TransportId
);
id!(
    /// Media that a client sends to us.
    ProducerId
);
id!(
    /// Media that we send to a client.
    ConsumerId
);
