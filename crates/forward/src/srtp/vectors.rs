//! Published test vectors: RFC 3711 appendix B (AES-CM, key derivation) and RFC 7714 sections 16 and 17 (AEAD).

use super::cipher::Cipher;
use super::keys::{Label, Master, counter_mode_key};
use super::{Profile, SRTCP_ENCRYPTED};
use aws_lc_rs::cipher::EncryptionContext;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn rfc_3711_b2_counter_mode_keystream() {
    let key = counter_mode_key(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
    let iv: [u8; 16] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    let mut stream = [0; 48];
    key.less_safe_encrypt(&mut stream, EncryptionContext::Iv128((&iv).into())).unwrap();
    assert_eq!(
        stream.as_slice(),
        hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0")
    );
}

#[test]
fn rfc_3711_b3_key_derivation() {
    let (key, salt) = (hex("E1F97A0D3E018BE0D64FA32C06DE4139"), hex("0EC675AD498AFEEBB6960B3AABE6"));
    let master = Master { profile: Profile::Aes128CmSha1_80, key: &key, salt: &salt };
    let derive = |label, len| {
        let mut out = vec![0; len];
        master.derive(label, &mut out).unwrap();
        out
    };
    assert_eq!(derive(Label::RtpEncryption, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derive(Label::RtpSalt, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        derive(Label::RtpAuthentication, 94),
        hex("CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE E049646C43D9327AD175578EF7227098
             6371C10C9A369AC2F94A8C5FBCDDDC25 6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2")
    );
}

// The RTP packet of RFC 7714 section 16 and the RTCP packet of section 17.
const RTP_HEADER: &str = "8040f17b 8041f8d3 5501a0b2";
const RTP_PAYLOAD: &str = "47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573";
const RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef
                    deadbeef deadbeef";
const SALT: &str = "51756964 2070726f 2071756f";
const KEY_128: &str = "00010203 04050607 08090a0b 0c0d0e0f";
const KEY_256: &str = "00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f";

fn check_rtp(key: &str, sealed: &str) {
    let cipher = Cipher::gcm(&hex(key), &hex(SALT)).unwrap();
    let plain = [hex(RTP_HEADER), hex(RTP_PAYLOAD)].concat();
    let mut packet = [plain.clone(), vec![0; 16]].concat();
    let total = cipher.seal_rtp(&mut packet, 12, plain.len(), 0x5501_a0b2, 0xf17b).unwrap();
    assert_eq!(packet[12..total], hex(sealed));
    assert_eq!(cipher.open_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b).unwrap(), plain.len());
    assert_eq!(packet[..plain.len()], plain);
}

#[test]
fn rfc_7714_16_1_aes_128_gcm() {
    check_rtp(
        KEY_128,
        "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf
         765ee439 0cce",
    );
}

#[test]
fn rfc_7714_16_2_aes_256_gcm() {
    check_rtp(
        KEY_256,
        "32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb
         7878d7a7 6c13",
    );
}

#[test]
fn rfc_7714_17_1_srtcp_aes_128_gcm() {
    let cipher = Cipher::gcm(&hex(KEY_128), &hex(SALT)).unwrap();
    let plain = hex(RTCP);
    let mut packet = [plain.clone(), vec![0; 20]].concat();
    let total = cipher.seal_rtcp(&mut packet, plain.len(), 0x4d61_7273, 0x5d4).unwrap();
    assert_eq!(total, packet.len());
    assert_eq!(
        packet,
        hex("81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46
             86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4")
    );
    assert_eq!(cipher.rtcp_word(&packet), Some(0x5d4 | SRTCP_ENCRYPTED));
    assert_eq!(cipher.open_rtcp(&mut packet, 0x4d61_7273, 0x5d4 | SRTCP_ENCRYPTED).unwrap(), plain.len());
    assert_eq!(packet[..plain.len()], plain);
}
