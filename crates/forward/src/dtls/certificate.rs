//! The server's self-signed certificate and the TLS context that all transports share.

use std::fmt;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContext, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion};
use openssl::x509::{X509, X509Name, X509NameBuilder};

/// The TLS library refused to do its part (local misconfiguration, not the client's doing).
#[derive(Debug)]
pub struct DtlsError(ErrorStack);

impl fmt::Display for DtlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the TLS library failed: {}", self.0)
    }
}

impl std::error::Error for DtlsError {}

impl From<ErrorStack> for DtlsError {
    fn from(error: ErrorStack) -> Self {
        Self(error)
    }
}

/// An ECDSA P-256 certificate, made once per process, and the context for servers that present it.
pub struct Certificate {
    fingerprint: String,
    context: SslContext,
}

impl Certificate {
    /// A fresh self-signed certificate.
    pub fn generate() -> Result<Self, DtlsError> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let certificate = self_signed(&key)?;
        let digest = certificate.digest(MessageDigest::sha256())?;
        Ok(Self {
            fingerprint: format_fingerprint(&digest),
            context: context(SslMethod::dtls_server(), Some((&certificate, &key)))?,
        })
    }

    /// As SDP writes it: "sha-256 AA:BB:...".
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The shared context; a handshake from one context costs half of one with its own.
    pub(crate) fn context(&self) -> &SslContext {
        &self.context
    }
}

/// A certificate for `key`, valid from yesterday for ten years; nobody looks at anything but its hash.
pub(crate) fn self_signed(key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let name = common_name("beep")?;
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(Asn1Integer::from_bn(&serial)?.as_ref())?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(Asn1Time::days_from_now(0)?.as_ref())?;
    builder.set_not_after(Asn1Time::days_from_now(3650)?.as_ref())?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

fn common_name(text: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, text)?;
    Ok(name.build())
}

/// A DTLS 1.2 context with forward-secret AEAD suites. SRTP profiles and the peer's fingerprint are set per connection.
pub(crate) fn context(method: SslMethod, identity: Option<(&X509, &PKey<Private>)>) -> Result<SslContext, ErrorStack> {
    let mut context = SslContext::builder(method)?;
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET | SslOptions::NO_RENEGOTIATION);
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    // Idle connections are many: 34 kB less for each.
    context.set_mode(SslMode::RELEASE_BUFFERS);
    context.set_cipher_list(CIPHERS)?;
    context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    if let Some((certificate, key)) = identity {
        context.set_certificate(certificate)?;
        context.set_private_key(key)?;
    }
    Ok(context.build())
}

/// "sha-256 AA:BB:...".
pub(crate) fn format_fingerprint(digest: &[u8]) -> String {
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("sha-256 {}", pairs.join(":"))
}

/// The 32 bytes of a "sha-256 AA:BB:..." line; other hashes are refused.
pub(crate) fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let (hash, hex) = text.trim().split_once(' ')?;
    if !hash.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut digest = [0; 32];
    let mut pairs = hex.trim().split(':');
    for byte in &mut digest {
        let pair =
            pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(digest)
}

// Elliptic curves and AEAD only: what every WebRTC client of the last ten years offers.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back() {
        let certificate = Certificate::generate().unwrap();
        let digest = parse_fingerprint(certificate.fingerprint()).unwrap();
        assert_eq!(format_fingerprint(&digest), certificate.fingerprint());
    }

    #[test]
    fn other_hashes_and_broken_fingerprints_are_refused() {
        let good = format_fingerprint(&[0xAB; 32]);
        assert!(parse_fingerprint(&good.to_lowercase()).is_some());
        for bad in [
            good.replace("sha-256", "sha-1"),
            good[..good.len() - 3].to_owned(),
            format!("{good}:AB"),
            good.replace("AB", "+B"),
            "sha-256".to_owned(),
            String::new(),
        ] {
            assert!(parse_fingerprint(&bad).is_none(), "{bad}");
        }
    }
}
