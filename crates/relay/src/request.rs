//! Reads requests: who they claim to come from (RFC 8489 section 9.2.4), and what they ask for (RFC 8656).

use std::net::SocketAddr;

use wire::stun::{IntegrityInput, Message, Method, attribute};

use crate::acl::{self, Acl, Verdict};
use crate::{AllocationId, ClientAddress, ClientId, PasswordAlgorithm, Request, RequestId};

/// What a request with an integrity attribute says of its sender. Nothing of it is checked.
pub(crate) struct Credentials<'a> {
    username: Option<&'a str>,
    userhash: Option<[u8; 32]>,
    realm: &'a str,
    pub(crate) nonce: &'a [u8],
    integrity: IntegrityInput<'a>,
    pub(crate) sha256: bool,
}

/// Whom a request is for, and in whose name.
pub(crate) struct Parties<'a> {
    pub(crate) request: RequestId,
    pub(crate) client: ClientId,
    pub(crate) address: &'a ClientAddress,
    pub(crate) allocation: Option<AllocationId>,
}

/// Whether there is an integrity attribute.
pub(crate) fn is_signed(message: &Message<'_>) -> bool {
    message.integrity_input().is_some() || message.integrity_sha256_input().is_some()
}

impl<'a> Credentials<'a> {
    /// None: one of the attributes that belong together is not there, or is none.
    pub(crate) fn read(message: &Message<'a>) -> Option<Self> {
        let sha256 = message.integrity_sha256_input();
        let username = message.username().filter(|name| name.len() <= USERNAME_MAX);
        let userhash = message.find(attribute::USERHASH).and_then(|hash| hash.try_into().ok());
        if username.is_none() && userhash.is_none() {
            return None;
        }
        Some(Self {
            username,
            // RFC 8489 section 9.2.3.1: one or the other.
            userhash: userhash.filter(|_| username.is_none()),
            realm: message.realm().filter(|realm| realm.len() <= REALM_MAX)?,
            nonce: message.nonce()?,
            integrity: sha256.or(message.integrity_input())?,
            sha256: sha256.is_some(),
        })
    }

    /// What PASSWORD-ALGORITHM says. None: somebody between us and the client may have changed our offer.
    pub(crate) fn password_algorithm(message: &Message<'_>) -> Option<PasswordAlgorithm> {
        let offered = message.find(attribute::PASSWORD_ALGORITHMS);
        let chosen = message.find(attribute::PASSWORD_ALGORITHM);
        match (offered, chosen) {
            (None, None) => Some(PasswordAlgorithm::Md5),
            (Some(offered), Some(chosen)) if offered == OFFERED => match chosen {
                MD5 => Some(PasswordAlgorithm::Md5),
                SHA256 => Some(PasswordAlgorithm::Sha256),
                _ => None,
            },
            _ => None,
        }
    }

    /// The request as the driver gets it.
    pub(crate) fn request(
        &self,
        message: &Message<'_>,
        algorithm: PasswordAlgorithm,
        parties: &Parties<'_>,
        acl: &Acl,
    ) -> Request {
        let mut reader = Reader { message, malformed: false };
        let [transport, lifetime, requested, additional] = [
            attribute::REQUESTED_TRANSPORT,
            attribute::LIFETIME,
            attribute::REQUESTED_ADDRESS_FAMILY,
            attribute::ADDITIONAL_ADDRESS_FAMILY,
        ]
        .map(|kind| reader.value::<4>(kind));
        let even_port = reader.value::<1>(attribute::EVEN_PORT);
        let reservation_token = reader.value(attribute::RESERVATION_TOKEN);
        let dont_fragment = reader.value::<0>(attribute::DONT_FRAGMENT).is_some();
        let channel = reader.value::<4>(attribute::CHANNEL_NUMBER);
        let peers = reader.peers(acl);
        Request {
            request: parties.request,
            client: parties.client,
            address: *parties.address,
            method: message.method().0,
            allocation: parties.allocation,
            username: self.username.map(str::to_owned),
            userhash: self.userhash,
            realm: self.realm.to_owned(),
            sha256: self.sha256,
            password_algorithm: algorithm,
            signed: [&self.integrity.header[..], self.integrity.attributes].concat(),
            mac: self.integrity.mac.to_vec(),
            malformed: reader.malformed,
            unknown_attributes: unknown_attributes(message),
            requested_transport: transport.map(|value| value[0]),
            lifetime_s: lifetime.map(u32::from_be_bytes),
            requested_family: requested.map(|value| value[0]),
            additional_family: additional.map(|value| value[0]),
            even_port: even_port.map(|value| value[0] & EVEN_PORT_RESERVE != 0),
            reservation_token,
            dont_fragment,
            channel: channel.map(|value| u16::from_be_bytes([value[0], value[1]])),
            peers,
        }
    }
}

/// Of those that must be understood the first few that are not: enough for an answer.
pub(crate) fn unknown_attributes(message: &Message<'_>) -> Vec<u16> {
    message.unknown_required().take(UNKNOWN_MAX).collect()
}

struct Reader<'m, 'a> {
    message: &'m Message<'a>,
    malformed: bool,
}

impl Reader<'_, '_> {
    /// The first attribute of this kind, if it is as long as it should be.
    fn value<const N: usize>(&mut self, kind: u16) -> Option<[u8; N]> {
        let value = self.message.find(kind)?;
        let value = value.try_into().ok();
        self.malformed |= value.is_none();
        value
    }

    /// A permission is for as many as are named, a channel for the first.
    fn peers(&mut self, acl: &Acl) -> Vec<(SocketAddr, bool)> {
        let permissions = self.message.method() == Method::CREATE_PERMISSION;
        let max = if permissions { PEERS_MAX + 1 } else { 1 };
        let mut peers = Vec::new();
        for peer in self.message.xor_addresses(attribute::XOR_PEER_ADDRESS).take(max) {
            let Ok(peer) = peer else {
                self.malformed = true;
                continue;
            };
            let peer = acl::canonical(peer);
            let allowed = if permissions { acl.may_be_permitted(peer) } else { acl.judge(peer) != Verdict::Denied };
            peers.push((peer, allowed));
        }
        if peers.len() > PEERS_MAX {
            self.malformed = true;
            peers.clear();
        }
        peers
    }
}

/// PASSWORD-ALGORITHMS: SHA-256 rather than MD5, both without parameters (RFC 8489 section 18.5.1).
pub(crate) const OFFERED: &[u8] = &[0, 2, 0, 0, 0, 1, 0, 0];
const MD5: &[u8] = &[0, 1, 0, 0];
const SHA256: &[u8] = &[0, 2, 0, 0];
/// RFC 8489 section 14.3: fewer than 509 bytes.
const USERNAME_MAX: usize = 508;
/// RFC 8489 section 14.9.
const REALM_MAX: usize = 763;
/// The R bit (RFC 8656 section 18.5).
const EVEN_PORT_RESERVE: u8 = 0x80;
/// More fit into no datagram of an honest client.
const PEERS_MAX: usize = 100;
const UNKNOWN_MAX: usize = 16;
