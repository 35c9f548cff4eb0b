//! Where a test makes a third-party machine panic. Without the feature `testing` it does nothing and takes no room.

/// Lit, it goes off at every further step of the machine that holds it, as a machine with broken state would.
#[derive(Debug, Default)]
pub(crate) struct Fuse {
    #[cfg(feature = "testing")]
    lit: bool,
}

impl Fuse {
    #[cfg(feature = "testing")]
    pub(crate) fn light(&mut self) {
        self.lit = true;
    }

    /// To be called wherever the machine does something.
    #[inline]
    #[cfg_attr(not(feature = "testing"), allow(clippy::unused_self, reason = "there is nothing to look at"))]
    pub(crate) fn pass(&self) {
        #[cfg(feature = "testing")]
        assert!(!self.lit, "a panic that a test asked for");
    }
}
