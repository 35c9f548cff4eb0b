//! The newtypes of RTP: one word, one width, and the wrapping arithmetic of each.

use std::fmt;

/// Synchronisation source (RFC 3550 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ssrc(pub u32);

/// RTP payload type, 0-127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PayloadType(pub u8);

/// RTP sequence number, 16 bits, wrapping. Not `Ord`: order it with [`SeqNo::newer_than`] or extend it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNo(pub u16);

/// RTP timestamp in units of the codec's clock, 32 bits, wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RtpTimestamp(pub u32);

/// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01), 16 bits, wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TwccSeq(pub u16);

macro_rules! wrapping {
    ($name:ident, $unsigned:ty, $signed:ty) => {
        impl $name {
            /// Whether `self` comes after `other` on the shorter way round.
            #[inline]
            pub fn newer_than(self, other: Self) -> bool {
                self.distance(other) > 0
            }

            /// Signed steps from `from` to `self` on the shorter way round.
            #[inline]
            pub fn distance(self, from: Self) -> $signed {
                self.0.wrapping_sub(from.0) as $signed
            }

            /// `self` moved forward by `steps`, wrapping.
            #[inline]
            #[must_use]
            pub fn wrapping_add(self, steps: $unsigned) -> Self {
                Self(self.0.wrapping_add(steps))
            }

            /// `self` moved back by `steps`, wrapping.
            #[inline]
            #[must_use]
            pub fn wrapping_sub(self, steps: $unsigned) -> Self {
                Self(self.0.wrapping_sub(steps))
            }

            /// The one after `self`, wrapping.
            #[inline]
            #[must_use]
            pub fn next(self) -> Self {
                self.wrapping_add(1)
            }
        }
    };
}

wrapping!(SeqNo, u16, i16);
wrapping!(TwccSeq, u16, i16);
wrapping!(RtpTimestamp, u32, i32);

macro_rules! display {
    ($($name:ident)*) => {
        $(impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        })*
    };
}

display!(Ssrc PayloadType SeqNo RtpTimestamp TwccSeq);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_follows_the_shorter_way_round() {
        assert!(SeqNo(1).newer_than(SeqNo(0)));
        assert!(SeqNo(0).newer_than(SeqNo(u16::MAX)));
        assert!(!SeqNo(u16::MAX).newer_than(SeqNo(0)));
        assert!(!SeqNo(7).newer_than(SeqNo(7)));
        assert_eq!(SeqNo(2).distance(SeqNo(u16::MAX)), 3);
        assert_eq!(SeqNo(u16::MAX).distance(SeqNo(2)), -3);
        assert!(RtpTimestamp(5).newer_than(RtpTimestamp(u32::MAX - 5)));
        assert_eq!(TwccSeq(u16::MAX).next(), TwccSeq(0));
    }
}
