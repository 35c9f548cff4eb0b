//! An authority and what it signs, by OpenSSL.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

pub(super) struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

/// In PEM.
pub(super) struct Certified {
    pub(super) chain: Vec<u8>,
    pub(super) key: Vec<u8>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = PKey::from_ec_key(ec_key()).expect("a key");
        let mut builder = builder("authority", &key);
        let constraints = BasicConstraints::new().critical().ca().build().expect("constraints");
        builder.append_extension(constraints).expect("room");
        builder.sign(&key, MessageDigest::sha256()).expect("a signature");
        Self { certificate: builder.build(), key }
    }

    pub(super) fn der(&self) -> Vec<u8> {
        self.certificate.to_der().expect("a certificate")
    }

    /// A P-256 key in SEC1.
    pub(super) fn certify_sec1(&self) -> Certified {
        let key = ec_key();
        let pem = key.private_key_to_pem().expect("a key");
        self.certify(&PKey::from_ec_key(key).expect("a key"), pem)
    }

    /// A P-256 key in PKCS#8.
    pub(super) fn certify_pkcs8(&self) -> Certified {
        let key = PKey::from_ec_key(ec_key()).expect("a key");
        let pem = key.private_key_to_pem_pkcs8().expect("a key");
        self.certify(&key, pem)
    }

    /// An RSA key in PKCS#1.
    pub(super) fn certify_pkcs1(&self, bits: u32) -> Certified {
        let key = Rsa::generate(bits).expect("a key");
        let pem = key.private_key_to_pem().expect("a key");
        self.certify(&PKey::from_rsa(key).expect("a key"), pem)
    }

    fn certify(&self, key: &PKey<Private>, pem: Vec<u8>) -> Certified {
        let mut builder = builder(NAME, key);
        builder.set_issuer_name(self.certificate.subject_name()).expect("an issuer");
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let name = SubjectAlternativeName::new().dns(NAME).build(&context).expect("a name");
        builder.append_extension(name).expect("room");
        builder.sign(&self.key, MessageDigest::sha256()).expect("a signature");
        let chain = [builder.build(), self.certificate.clone()].map(|each| each.to_pem().expect("a certificate"));
        Certified { chain: chain.concat(), key: pem }
    }
}

fn builder(name: &str, key: &PKey<Private>) -> X509Builder {
    let mut subject = X509NameBuilder::new().expect("a name");
    subject.append_entry_by_nid(Nid::COMMONNAME, name).expect("a name");
    let subject = subject.build();
    let mut builder = X509::builder().expect("a certificate");
    builder.set_version(2).expect("a version");
    let serial = BigNum::from_u32(1).and_then(|number| number.to_asn1_integer()).expect("a number");
    builder.set_serial_number(&serial).expect("a serial number");
    builder.set_subject_name(&subject).expect("a subject");
    builder.set_issuer_name(&subject).expect("an issuer");
    builder.set_not_before(&Asn1Time::days_from_now(0).expect("today")).expect("a beginning");
    builder.set_not_after(&Asn1Time::days_from_now(1).expect("tomorrow")).expect("an end");
    builder.set_pubkey(key).expect("a key");
    builder
}

fn ec_key() -> EcKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a curve");
    EcKey::generate(&group).expect("a key")
}

pub(super) const NAME: &str = "turn.test";
