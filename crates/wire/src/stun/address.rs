//! (XOR-)MAPPED-ADDRESS values (RFC 8489 §14.1, §14.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAGIC_COOKIE, TransactionId};
use crate::ParseError;
use crate::bytes::{array_at, u8_at, u16_at};

pub(super) fn parse_xor(value: &[u8], transaction: TransactionId) -> Result<SocketAddr, ParseError> {
    let key = key(transaction);
    let port = u16_at(value, 2)? ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match u8_at(value, 1)? {
        FAMILY_V4 => IpAddr::from(xor(exact::<4>(value)?, &key)),
        FAMILY_V6 => IpAddr::from(xor(exact::<16>(value)?, &key)),
        _ => return Err(ParseError::Value),
    };
    Ok(SocketAddr::new(ip, port))
}

/// The encoded value and its length.
pub(super) fn encode_xor(address: SocketAddr, transaction: TransactionId) -> ([u8; 20], usize) {
    let key = key(transaction);
    let mut value = [0; 20];
    value[2..4].copy_from_slice(&(address.port() ^ (MAGIC_COOKIE >> 16) as u16).to_be_bytes());
    let len = match address.ip() {
        IpAddr::V4(ip) => put(&mut value, FAMILY_V4, xor(Ipv4Addr::octets(&ip), &key)),
        IpAddr::V6(ip) => put(&mut value, FAMILY_V6, xor(Ipv6Addr::octets(&ip), &key)),
    };
    (value, len)
}

fn put<const N: usize>(value: &mut [u8; 20], family: u8, octets: [u8; N]) -> usize {
    value[1] = family;
    value[4..4 + N].copy_from_slice(&octets);
    4 + N
}

fn exact<const N: usize>(value: &[u8]) -> Result<[u8; N], ParseError> {
    if value.len() == 4 + N { array_at(value, 4) } else { Err(ParseError::Length) }
}

fn xor<const N: usize>(mut octets: [u8; N], key: &[u8; 16]) -> [u8; N] {
    octets.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
    octets
}

fn key(TransactionId(transaction): TransactionId) -> [u8; 16] {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    key[4..].copy_from_slice(&transaction);
    key
}

const FAMILY_V4: u8 = 1;
const FAMILY_V6: u8 = 2;
