//! STUN: every getter is safe, and attributes written again read the same.

use wire::stun::{Attribute, HEADER_LEN, Message, Writer};

use crate::outcome::Outcome;

pub(super) fn stun(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let message = match Message::parse(input) {
        Ok(message) => message,
        Err(error) => return *outcome.error(error),
    };
    let attributes: Vec<Attribute<'_>> = message.attributes().collect();
    assert!(attributes.len() <= (input.len() - HEADER_LEN) / 4);
    outcome.note(message.class() as u64);
    outcome
        .size(attributes.len())
        .note(message.username().is_some())
        .note(message.realm().is_some() || message.nonce().is_some() || message.software().is_some())
        .note(message.priority().is_some())
        .note(message.ice_controlling().is_some())
        .note(message.ice_controlled().is_some())
        .note(message.use_candidate())
        .note(message.fingerprint_ok().map_or(2, u64::from))
        .note(message.xor_mapped_address().map_or(2, |address| u64::from(address.is_ipv4())))
        .size(message.unknown_required().count());
    if let Some((code, _)) = message.error_code() {
        assert!((300..700).contains(&code));
        outcome.note(code / 100);
    }
    for mac in [message.integrity_input(), message.integrity_sha256_input()] {
        outcome.note(mac.is_some());
        if let Some(mac) = mac {
            assert!(HEADER_LEN + mac.attributes.len() + 4 + mac.mac.len() <= input.len());
        }
    }
    writes_again(&message, &attributes);
    outcome
}

fn writes_again(message: &Message<'_>, attributes: &[Attribute<'_>]) {
    let mut buf = vec![0; HEADER_LEN + 70_000];
    let mut writer = Writer::new(&mut buf, message.class(), message.method(), message.transaction_id());
    for attribute in attributes {
        writer.attribute(attribute.kind, attribute.value);
    }
    let len = writer.finish().expect("there is room for more than any input");
    let again = Message::parse(&buf[..len]).expect("what we write parses");
    assert_eq!((again.class(), again.method()), (message.class(), message.method()));
    assert_eq!(again.transaction_id(), message.transaction_id());
    assert!(again.attributes().eq(attributes.iter().copied()));
    assert_eq!(again.xor_mapped_address(), message.xor_mapped_address());
}
