//! The packet transforms: AEAD AES-GCM (RFC 7714) and AES counter mode with HMAC-SHA1-80 (RFC 3711 sections 4.1 and 4.2).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{EncryptingKey, EncryptionContext};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;

use super::keys::{Label, Master, counter_mode_key};
use super::{Profile, SRTCP_ENCRYPTED};

/// One direction of SRTP or of SRTCP, with its key schedule.
pub(super) enum Cipher {
    Gcm(Gcm),
    CounterMode(Box<CounterMode>),
}

pub(super) struct Gcm {
    key: LessSafeKey,
    salt: [u8; GCM_SALT],
}

pub(super) struct CounterMode {
    key: EncryptingKey,
    salt: [u8; CM_SALT],
    authentication: hmac::Key,
}

impl Cipher {
    pub(super) fn for_rtp(master: Master<'_>) -> Result<Self, Unspecified> {
        Self::derive(master, Label::RtpEncryption, Label::RtpSalt, Label::RtpAuthentication)
    }

    pub(super) fn for_rtcp(master: Master<'_>) -> Result<Self, Unspecified> {
        Self::derive(master, Label::RtcpEncryption, Label::RtcpSalt, Label::RtcpAuthentication)
    }

    fn derive(master: Master<'_>, key_label: Label, salt_label: Label, mac_label: Label) -> Result<Self, Unspecified> {
        let mut key = [0; 32];
        let key = &mut key[..master.profile.key_len()];
        master.derive(key_label, key)?;
        let mut salt = [0; CM_SALT];
        let salt = &mut salt[..master.profile.salt_len()];
        master.derive(salt_label, salt)?;
        if master.profile != Profile::Aes128CmSha1_80 {
            return Self::gcm(key, salt);
        }
        let mut mac_key = [0; SHA1_KEY];
        master.derive(mac_label, &mut mac_key)?;
        Self::counter_mode(key, salt, &mac_key)
    }

    pub(super) fn gcm(key: &[u8], salt: &[u8]) -> Result<Self, Unspecified> {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        Ok(Self::Gcm(Gcm {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key)?),
            salt: salt.try_into().map_err(|_| Unspecified)?,
        }))
    }

    pub(super) fn counter_mode(key: &[u8], salt: &[u8], mac_key: &[u8]) -> Result<Self, Unspecified> {
        Ok(Self::CounterMode(Box::new(CounterMode {
            key: counter_mode_key(key)?,
            salt: salt.try_into().map_err(|_| Unspecified)?,
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, mac_key),
        })))
    }

    pub(super) fn tag_len(&self) -> usize {
        match self {
            Self::Gcm(_) => GCM_TAG,
            Self::CounterMode(_) => SHA1_TAG,
        }
    }

    /// Encrypts `packet[header_len..end]` and writes the tag at `end`; gives the total length.
    #[inline]
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        end: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, Unspecified> {
        let (plain, tag) = packet.split_at_mut_checked(end).ok_or(Unspecified)?;
        let (header, payload) = plain.split_at_mut_checked(header_len).ok_or(Unspecified)?;
        match self {
            Self::Gcm(gcm) => {
                let room = tag.get_mut(..GCM_TAG).ok_or(Unspecified)?;
                let nonce = gcm.nonce(ssrc, rtp_index_bytes(index));
                let sealed = gcm.key.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload)?;
                room.copy_from_slice(sealed.as_ref());
                Ok(end + GCM_TAG)
            }
            Self::CounterMode(cm) => {
                let room = tag.get_mut(..SHA1_TAG).ok_or(Unspecified)?;
                cm.apply(ssrc, index, payload)?;
                room.copy_from_slice(&cm.tag(plain, roll_over_counter(index))[..SHA1_TAG]);
                Ok(end + SHA1_TAG)
            }
        }
    }

    /// Verifies and decrypts a whole SRTP packet; gives the plaintext's length.
    #[inline]
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, Unspecified> {
        let end = packet.len().checked_sub(self.tag_len()).ok_or(Unspecified)?;
        let (body, tag) = packet.split_at_mut(end);
        if header_len > end {
            return Err(Unspecified);
        }
        match self {
            Self::Gcm(gcm) => {
                let (header, payload) = body.split_at_mut(header_len);
                let nonce = gcm.nonce(ssrc, rtp_index_bytes(index));
                gcm.key.open_in_place_separate_tag(nonce, Aad::from(&*header), tag, payload)?;
            }
            Self::CounterMode(cm) => {
                verify_slices_are_equal(&cm.tag(body, roll_over_counter(index))[..SHA1_TAG], tag)?;
                cm.apply(ssrc, index, &mut body[header_len..])?;
            }
        }
        Ok(end)
    }

    /// Encrypts the compound packet in `packet[..end]`, whose first SSRC is `ssrc`; gives the total length.
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], end: usize, ssrc: u32, index: u32) -> Result<usize, Unspecified> {
        let total = end + self.tag_len() + WORD;
        if end < RTCP_HEADER || packet.len() < total {
            return Err(Unspecified);
        }
        let word = (index | SRTCP_ENCRYPTED).to_be_bytes();
        match self {
            Self::Gcm(gcm) => {
                let (header, payload) = packet[..end].split_at_mut(RTCP_HEADER);
                let tag = gcm.key.seal_in_place_separate_tag(
                    gcm.nonce(ssrc, rtcp_index_bytes(index)),
                    Aad::from(rtcp_aad(header, word)),
                    payload,
                )?;
                packet[end..end + GCM_TAG].copy_from_slice(tag.as_ref());
                packet[end + GCM_TAG..total].copy_from_slice(&word);
            }
            Self::CounterMode(cm) => {
                cm.apply(ssrc, u64::from(index), &mut packet[RTCP_HEADER..end])?;
                let tag = cm.tag(&packet[..end], word);
                packet[end..end + WORD].copy_from_slice(&word);
                packet[end + WORD..total].copy_from_slice(&tag[..SHA1_TAG]);
            }
        }
        Ok(total)
    }

    /// The E flag and index of an SRTCP packet, not yet authenticated.
    pub(super) fn rtcp_word(&self, packet: &[u8]) -> Option<u32> {
        let from_end = match self {
            Self::Gcm(_) => WORD,
            Self::CounterMode(_) => WORD + SHA1_TAG,
        };
        (packet.len() >= RTCP_HEADER + WORD + self.tag_len()).then_some(())?;
        let at = packet.len() - from_end;
        Some(u32::from_be_bytes(packet[at..at + WORD].try_into().ok()?))
    }

    /// Verifies and decrypts a whole SRTCP packet whose `rtcp_word` is `word`; gives the plaintext's length.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Result<usize, Unspecified> {
        let end =
            packet.len().checked_sub(self.tag_len() + WORD).filter(|end| *end >= RTCP_HEADER).ok_or(Unspecified)?;
        let index = word & !SRTCP_ENCRYPTED;
        match self {
            Self::Gcm(gcm) => {
                let (body, trailer) = packet.split_at_mut(end);
                let (header, payload) = body.split_at_mut(RTCP_HEADER);
                gcm.key.open_in_place_separate_tag(
                    gcm.nonce(ssrc, rtcp_index_bytes(index)),
                    Aad::from(rtcp_aad(header, word.to_be_bytes())),
                    &trailer[..GCM_TAG],
                    payload,
                )?;
            }
            Self::CounterMode(cm) => {
                let (body, trailer) = packet.split_at_mut(end);
                verify_slices_are_equal(&cm.tag(body, word.to_be_bytes())[..SHA1_TAG], &trailer[WORD..])?;
                cm.apply(ssrc, u64::from(index), &mut body[RTCP_HEADER..])?;
            }
        }
        Ok(end)
    }
}

impl Gcm {
    /// RFC 7714 sections 8.1 and 9.1: two zero bytes, the SSRC and a 48-bit index, xor the salt.
    #[inline]
    fn nonce(&self, ssrc: u32, index: [u8; 6]) -> Nonce {
        let mut nonce = self.salt;
        nonce[2..6].iter_mut().zip(ssrc.to_be_bytes()).for_each(|(byte, other)| *byte ^= other);
        nonce[6..].iter_mut().zip(index).for_each(|(byte, other)| *byte ^= other);
        Nonce::assume_unique_for_key(nonce)
    }
}

impl CounterMode {
    /// Encrypts or decrypts. RFC 3711 section 4.1.1: IV = salt * 2^16 xor SSRC * 2^64 xor index * 2^16.
    fn apply(&self, ssrc: u32, index: u64, in_out: &mut [u8]) -> Result<(), Unspecified> {
        let mut iv = [0; 16];
        iv[..CM_SALT].copy_from_slice(&self.salt);
        iv[4..8].iter_mut().zip(ssrc.to_be_bytes()).for_each(|(byte, other)| *byte ^= other);
        iv[8..14].iter_mut().zip(&index.to_be_bytes()[2..]).for_each(|(byte, other)| *byte ^= other);
        self.key.less_safe_encrypt(in_out, EncryptionContext::Iv128((&iv).into()))?;
        Ok(())
    }

    fn tag(&self, body: &[u8], suffix: [u8; WORD]) -> [u8; SHA1_LEN] {
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(body);
        context.update(&suffix);
        let mut tag = [0; SHA1_LEN];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

fn rtp_index_bytes(index: u64) -> [u8; 6] {
    let [_, _, bytes @ ..] = index.to_be_bytes();
    bytes
}

fn rtcp_index_bytes(index: u32) -> [u8; 6] {
    rtp_index_bytes(u64::from(index))
}

fn roll_over_counter(index: u64) -> [u8; WORD] {
    ((index >> 16) as u32).to_be_bytes()
}

fn rtcp_aad(header: &[u8], word: [u8; WORD]) -> [u8; RTCP_HEADER + WORD] {
    let mut aad = [0; RTCP_HEADER + WORD];
    aad[..RTCP_HEADER].copy_from_slice(header);
    aad[RTCP_HEADER..].copy_from_slice(&word);
    aad
}

const GCM_SALT: usize = 12;
const GCM_TAG: usize = 16;
const CM_SALT: usize = 14;
const SHA1_KEY: usize = 20;
const SHA1_LEN: usize = 20;
const SHA1_TAG: usize = 10;
/// ROC, or E flag and SRTCP index.
const WORD: usize = 4;
/// The part of an RTCP packet that stays in the clear.
const RTCP_HEADER: usize = 8;
