//! STUN against the vectors of RFC 5769, and what a hostile sender may try.

mod common;

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use common::hex;
use wire::ParseError;
use wire::stun::{Class, IntegrityInput, Message, Method, TransactionId, Writer, attribute};

const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const TRANSACTION: TransactionId =
    TransactionId([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);

/// RFC 5769 §2.1.
const REQUEST: &str = "
    00010058 2112a442 b7e7a701bc34d686fa87dfae
    80220010 5354554e207465737420636c69656e74
    00240004 6e0001ff
    80290008 932ff9b151263b36
    00060009 6576746a3a68367659 202020
    00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
    80280004 e57a3bcf";
/// RFC 5769 §2.2.
const RESPONSE_V4: &str = "
    0101003c 2112a442 b7e7a701bc34d686fa87dfae
    8022000b 7465737420766563746f72 20
    00200008 0001a147e112a643
    00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7
    80280004 c07d4c96";
/// RFC 5769 §2.3.
const RESPONSE_V6: &str = "
    01010048 2112a442 b7e7a701bc34d686fa87dfae
    8022000b 7465737420766563746f72 20
    00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
    00080014 a382954e4be67bf11784c97c8292c275bfe3ed41
    80280004 c8fb0b4c";
/// RFC 5769 §2.4.
const LONG_TERM: &str = "
    00010060 2112a442 78ad3433c6ad72c029da412e
    00060012 e3839ee38388e383aae38383e382afe382b9 0000
    0015001c 662f2f3439396b39353464364f4c33346f4c39465354767936347341
    0014000b 6578616d706c652e6f7267 00
    00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666";
/// RFC 8489 appendix B.1. Its length field counts the header, too, and so does its MAC.
const USERHASH_SHA256: &str = "
    0001009c 2112a442 78ad3433c6ad72c029da412e
    001e0020 4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704
    00150029 6f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c39465354767936347341 000000
    0014000b 6578616d706c652e6f7267 00
    001c0020 e4686c8f0edeb59013e07090010a93efccbccc544c0a45d9f830aa6d6f735a01";

fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().try_into().expect("SHA-1 has 20 bytes")
}

fn verifies(input: &IntegrityInput<'_>, key: &[u8]) -> bool {
    hmac_sha1(key, &[&input.header, input.attributes]) == input.mac
}

#[test]
fn sample_request_reads_and_verifies() {
    let bytes = hex(REQUEST);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Request, Method::BINDING));
    assert_eq!(message.transaction_id(), TRANSACTION);
    assert_eq!(message.software(), Some("STUN test client"));
    assert_eq!(message.priority(), Some(0x6e00_01ff));
    assert_eq!(message.ice_controlled(), Some(0x932f_f9b1_5126_3b36));
    assert_eq!(message.ice_controlling(), None);
    assert_eq!(message.username(), Some("evtj:h6vY"));
    assert!(!message.use_candidate());
    assert_eq!(message.fingerprint_ok(), Some(true));
    assert!(verifies(&message.integrity_input().unwrap(), PASSWORD));
    assert!(!verifies(&message.integrity_input().unwrap(), b"another"));
}

#[test]
fn sample_responses_give_their_addresses() {
    for (text, address) in
        [(RESPONSE_V4, "192.0.2.1:32853"), (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let bytes = hex(text);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.class(), message.method()), (Class::Success, Method::BINDING));
        assert_eq!(message.software(), Some("test vector"));
        assert_eq!(message.xor_mapped_address(), Some(address.parse::<SocketAddr>().unwrap()));
        assert_eq!(message.fingerprint_ok(), Some(true));
        assert!(verifies(&message.integrity_input().unwrap(), PASSWORD));
    }
}

#[test]
fn long_term_request_verifies_with_the_hashed_key() {
    let bytes = hex(LONG_TERM);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.username(), Some("マトリックス"));
    assert_eq!(message.realm(), Some("example.org"));
    assert_eq!(message.nonce(), Some(&b"f//499k954d6OL34oL9FSTvy64sA"[..]));
    assert_eq!(message.fingerprint_ok(), None);
    // MD5("マトリックス:example.org:TheMatrIX")
    let key = hex("e8ca7ad59d5eb0518e312911d2dab2a9");
    assert!(verifies(&message.integrity_input().unwrap(), &key));
}

#[test]
fn long_term_request_with_a_userhash_verifies_by_sha256() {
    let published = hex(USERHASH_SHA256);
    assert_eq!(Message::parse(&published).unwrap_err(), ParseError::Length);
    let mut bytes = published.clone();
    bytes[2..4].copy_from_slice(&(published.len() as u16 - 20).to_be_bytes());
    let message = Message::parse(&bytes).unwrap();
    let username_and_realm =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, "マトリックス:example.org".as_bytes());
    assert_eq!(message.find(attribute::USERHASH), Some(username_and_realm.as_ref()));
    assert_eq!(message.realm(), Some("example.org"));
    assert_eq!(message.nonce(), Some(&b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"[..]));
    let input = message.integrity_sha256_input().unwrap();
    let secret = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, "マトリックス:example.org:TheMatrIX".as_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
    let covered = [&published[..20], input.attributes].concat();
    assert_eq!(hmac::sign(&key, &covered).as_ref(), input.mac);
}

#[test]
fn writing_reproduces_the_sample_responses_up_to_their_odd_padding() {
    for (text, address) in
        [(RESPONSE_V4, "192.0.2.1:32853"), (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let mut buf = [0xff; 200];
        let len = Writer::new(&mut buf, Class::Success, Method::BINDING, TRANSACTION)
            .software("test vector")
            .xor_mapped_address(address.parse().unwrap())
            .finish()
            .unwrap();
        let mut expected = hex(text)[..len].to_vec();
        expected[2..4].copy_from_slice(&(len as u16 - 20).to_be_bytes());
        // RFC 5769 pads with spaces to catch implementations that skip padding in the MAC; we pad with zeros.
        expected[20 + 4 + 11] = 0;
        assert_eq!(&buf[..len], expected);
    }
}

#[test]
fn a_written_check_reads_back_and_verifies() {
    let mut buf = [0; 200];
    let len = Writer::new(&mut buf, Class::Request, Method::BINDING, TRANSACTION)
        .username("remote:local")
        .ice_controlling(7)
        .use_candidate()
        .priority(1234)
        .integrity(|covered| hmac_sha1(PASSWORD, &[covered]))
        .fingerprint()
        .finish()
        .unwrap();
    let message = Message::parse(&buf[..len]).unwrap();
    assert_eq!(message.username(), Some("remote:local"));
    assert_eq!(message.ice_controlling(), Some(7));
    assert_eq!(message.priority(), Some(1234));
    assert!(message.use_candidate());
    assert_eq!(message.fingerprint_ok(), Some(true));
    assert!(verifies(&message.integrity_input().unwrap(), PASSWORD));

    buf[len - 1] ^= 1;
    assert_eq!(Message::parse(&buf[..len]).unwrap().fingerprint_ok(), Some(false));
}

#[test]
fn sha256_integrity_reads_back() {
    let mut buf = [0; 200];
    let mut covered_then = Vec::new();
    let len = Writer::new(&mut buf, Class::Request, Method::ALLOCATE, TRANSACTION)
        .integrity_sha256(|covered| {
            covered_then = covered.to_vec();
            [9; 32]
        })
        .finish()
        .unwrap();
    let message = Message::parse(&buf[..len]).unwrap();
    let input = message.integrity_sha256_input().unwrap();
    assert_eq!([&input.header[..], input.attributes].concat(), covered_then);
    assert_eq!(input.mac, [9; 32]);
    assert_eq!(message.integrity_input(), None);
}

#[test]
fn error_and_unknown_attributes_read_back() {
    let mut buf = [0; 100];
    let len = Writer::new(&mut buf, Class::Error, Method::BINDING, TRANSACTION)
        .error_code(487, "Role Conflict")
        .unknown_attributes(&[0x7001, 0x7002, 0x7003])
        .finish()
        .unwrap();
    let message = Message::parse(&buf[..len]).unwrap();
    assert_eq!(message.error_code(), Some((487, "Role Conflict")));
    assert_eq!(message.find(attribute::UNKNOWN_ATTRIBUTES), Some(&[0x70, 1, 0x70, 2, 0x70, 3][..]));
}

#[test]
fn several_addresses_of_a_kind_read_back_in_order_with_the_bad_one_among_them() {
    let peers: [SocketAddr; 2] = ["198.51.100.1:1".parse().unwrap(), "[2001:db8::2]:2".parse().unwrap()];
    let mut buf = [0; 100];
    let len = Writer::new(&mut buf, Class::Request, Method::CREATE_PERMISSION, TRANSACTION)
        .xor_address(attribute::XOR_PEER_ADDRESS, peers[0])
        .attribute(attribute::XOR_PEER_ADDRESS, &[0, 3, 0, 0])
        .xor_address(attribute::XOR_PEER_ADDRESS, peers[1])
        .finish()
        .unwrap();
    let message = Message::parse(&buf[..len]).unwrap();
    let read: Vec<_> = message.xor_addresses(attribute::XOR_PEER_ADDRESS).collect();
    assert_eq!(read, [Ok(peers[0]), Err(ParseError::Value), Ok(peers[1])]);
}

#[test]
fn only_unknown_attributes_below_0x8000_must_be_understood() {
    let mut buf = [0; 100];
    let len = Writer::new(&mut buf, Class::Request, Method::BINDING, TRANSACTION)
        .attribute(0x7001, b"x")
        .attribute(0xc070, b"optional")
        .username("a:b")
        .attribute(0x0003, &[])
        .finish()
        .unwrap();
    let message = Message::parse(&buf[..len]).unwrap();
    assert_eq!(message.unknown_required().collect::<Vec<_>>(), [0x7001, 0x0003]);
    assert_eq!(message.username(), Some("a:b"));
}

#[test]
fn attributes_behind_the_integrity_are_not_read() {
    let mut buf = [0; 200];
    let len = Writer::new(&mut buf, Class::Request, Method::BINDING, TRANSACTION)
        .integrity(|_| [1; 20])
        .use_candidate()
        .username("smuggled:in")
        .fingerprint()
        .finish()
        .unwrap();
    let message = Message::parse(&buf[..len]).unwrap();
    assert!(!message.use_candidate());
    assert_eq!(message.username(), None);
    assert_eq!(message.fingerprint_ok(), Some(true));
}

#[test]
fn malformed_messages_are_refused() {
    let good = hex(REQUEST);
    for len in 0..good.len() {
        assert!(Message::parse(&good[..len]).is_err());
    }
    let mut longer = good.clone();
    longer.extend([0; 4]);
    assert_eq!(Message::parse(&longer).unwrap_err(), ParseError::Length);

    let mut cookie = good.clone();
    cookie[4] = 0;
    assert_eq!(Message::parse(&cookie).unwrap_err(), ParseError::Protocol);

    let mut beyond = good.clone();
    beyond[23] = 0xff;
    assert_eq!(Message::parse(&beyond).unwrap_err(), ParseError::Truncated);

    let mut after_fingerprint = good;
    after_fingerprint.extend([0x80, 0x22, 0, 0]);
    after_fingerprint[3] += 4;
    assert_eq!(Message::parse(&after_fingerprint).unwrap_err(), ParseError::Value);
}

#[test]
fn a_writer_without_room_says_so() {
    for room in 0..60 {
        let mut buf = vec![0; room];
        let written = Writer::new(&mut buf, Class::Request, Method::BINDING, TRANSACTION)
            .username("four:four")
            .integrity(|_| [0; 20])
            .fingerprint()
            .finish();
        assert_eq!(written, None, "{room}");
    }
}
