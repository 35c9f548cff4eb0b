//! From DTLS's exported secret to session keys: RFC 5764 section 4.2 and the key derivation of RFC 3711 section 4.3.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;

use super::Profile;

/// The longest export that any profile needs: two keys of 32 bytes and two salts of 14.
pub const KEYING_MATERIAL_MAX: usize = 2 * (32 + 14);

/// Master keys and salts of both directions.
pub struct KeyingMaterial {
    profile: Profile,
    bytes: [u8; KEYING_MATERIAL_MAX],
}

impl KeyingMaterial {
    /// `exported` is client key, server key, client salt, server salt: `KeyingMaterial::len(profile)` bytes.
    pub fn new(profile: Profile, exported: &[u8]) -> Option<Self> {
        let mut bytes = [0; KEYING_MATERIAL_MAX];
        (exported.len() == Self::len(profile)).then(|| bytes[..exported.len()].copy_from_slice(exported))?;
        Some(Self { profile, bytes })
    }

    /// How many bytes to export for a profile.
    pub fn len(profile: Profile) -> usize {
        2 * (profile.key_len() + profile.salt_len())
    }

    /// The negotiated profile.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    pub(super) fn client(&self) -> Master<'_> {
        self.master(0)
    }

    pub(super) fn server(&self) -> Master<'_> {
        self.master(1)
    }

    fn master(&self, side: usize) -> Master<'_> {
        let (key, salt) = (self.profile.key_len(), self.profile.salt_len());
        Master {
            profile: self.profile,
            key: &self.bytes[side * key..][..key],
            salt: &self.bytes[2 * key + side * salt..][..salt],
        }
    }
}

impl Drop for KeyingMaterial {
    fn drop(&mut self) {
        self.bytes.fill(0);
    }
}

/// Master key and salt of one direction.
#[derive(Clone, Copy)]
pub(super) struct Master<'a> {
    pub(super) profile: Profile,
    pub(super) key: &'a [u8],
    pub(super) salt: &'a [u8],
}

/// The labels of RFC 3711 section 4.3.1 and 4.3.2.
#[derive(Clone, Copy)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

impl Master<'_> {
    /// Fills `out` with the session key for `label` (key derivation rate 0).
    pub(super) fn derive(&self, label: Label, out: &mut [u8]) -> Result<(), Unspecified> {
        let mut iv = [0; 16];
        // A 96-bit salt stands left-aligned in the 112 bits (RFC 7714 section 11).
        iv[..self.salt.len()].copy_from_slice(self.salt);
        iv[7] ^= label as u8;
        out.fill(0);
        counter_mode_key(self.key)?.less_safe_encrypt(out, EncryptionContext::Iv128((&iv).into()))?;
        Ok(())
    }
}

/// AES in counter mode with a key of 16 or 32 bytes.
pub(super) fn counter_mode_key(key: &[u8]) -> Result<EncryptingKey, Unspecified> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key)?)
}
