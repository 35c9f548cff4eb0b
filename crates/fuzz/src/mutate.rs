//! Mutations of byte strings. Stacked and spliced at random, they reach what no hand-written case does.
#![allow(clippy::ptr_arg)] // One signature for all mutations, those that keep the length included.

use crate::corpus::Entry;
use crate::rng::Rng;

/// A mutated copy of `base`; `pool` lends other inputs for splices.
pub fn mutate(rng: &mut Rng, base: &[u8], pool: &[Entry]) -> Vec<u8> {
    let mut input = base.to_vec();
    for _ in 0..=rng.below(STACKED_MAX) {
        let mutation = MUTATIONS[rng.below(MUTATIONS.len())];
        mutation(rng, &mut input, pool);
    }
    input.truncate(INPUT_MAX);
    input
}

type Mutation = fn(&mut Rng, &mut Vec<u8>, &[Entry]);

const MUTATIONS: &[Mutation] = &[
    flip_bit,
    flip_bit,
    set_byte,
    set_byte,
    add_to_byte,
    set_u16,
    set_u16,
    set_u32,
    set_length,
    truncate,
    remove,
    repeat,
    insert,
    splice,
    swap,
];

fn flip_bit(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    let bit = rng.below(8);
    if let Some(byte) = any_byte(rng, input) {
        *byte ^= 1 << bit;
    }
}

fn set_byte(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    let value = match rng.below(8) {
        0 => 0,
        1 => 1,
        2 => 0x7f,
        3 => 0x80,
        4 => 0xff,
        _ => rng.bits() as u8,
    };
    if let Some(byte) = any_byte(rng, input) {
        *byte = value;
    }
}

fn add_to_byte(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    let step = rng.below(17) as u8;
    if let Some(byte) = any_byte(rng, input) {
        *byte = byte.wrapping_add(step).wrapping_sub(8);
    }
}

fn set_u16(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    let random = rng.bits() as u16;
    let value = *rng.pick(&[0, 1, 3, 4, 0x7fff, 0x8000, 0xfffc, 0xfffe, 0xffff, random]).unwrap_or(&0);
    overwrite(rng, input, &value.to_be_bytes());
}

fn set_u32(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    let random = rng.bits() as u32;
    let value = *rng.pick(&[0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff, random]).unwrap_or(&0);
    overwrite(rng, input, &value.to_be_bytes());
}

/// A length field that is right, or off by one, for the bytes behind it, counted in bytes or words.
fn set_length(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    let at = rng.below(input.len());
    let behind = input.len().saturating_sub(at + 2);
    let unit = if rng.below(2) == 0 { 1 } else { 4 };
    let value = ((behind / unit) as u16).wrapping_add(rng.below(3) as u16).wrapping_sub(1);
    if let Some(room) = input.get_mut(at..at + 2) {
        room.copy_from_slice(&value.to_be_bytes());
    }
}

fn truncate(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    input.truncate(rng.below(input.len() + 1));
}

fn remove(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    let range = chunk(rng, input.len());
    input.drain(range);
}

fn repeat(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    let part = input[chunk(rng, input.len())].to_vec();
    insert_at_random(rng, input, &part);
}

fn insert(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    let len = 1 + rng.below(16);
    let bytes = if rng.below(2) == 0 { vec![0; len] } else { rng.bytes(len) };
    insert_at_random(rng, input, &bytes);
}

fn splice(rng: &mut Rng, input: &mut Vec<u8>, pool: &[Entry]) {
    let Some(other) = rng.pick(pool) else {
        return;
    };
    let part = &other.bytes[chunk(rng, other.bytes.len())];
    match rng.below(3) {
        0 => insert_at_random(rng, input, part),
        1 => overwrite(rng, input, part),
        _ => {
            input.truncate(rng.below(input.len() + 1));
            input.extend_from_slice(part);
        }
    }
}

fn swap(rng: &mut Rng, input: &mut Vec<u8>, _: &[Entry]) {
    if !input.is_empty() {
        let (a, b) = (rng.below(input.len()), rng.below(input.len()));
        input.swap(a, b);
    }
}

fn any_byte<'a>(rng: &mut Rng, input: &'a mut [u8]) -> Option<&'a mut u8> {
    // Headers come first and matter most: half of the mutations stay in the first bytes.
    let reach = if rng.below(2) == 0 { input.len().min(HEADER_LEN) } else { input.len() };
    input.get_mut(rng.below(reach))
}

fn chunk(rng: &mut Rng, len: usize) -> std::ops::Range<usize> {
    let start = rng.below(len);
    start..(start + 1 + rng.below(64)).min(len)
}

fn overwrite(rng: &mut Rng, input: &mut [u8], bytes: &[u8]) {
    let at = rng.below(input.len());
    for (to, from) in input[at..].iter_mut().zip(bytes) {
        *to = *from;
    }
}

fn insert_at_random(rng: &mut Rng, input: &mut Vec<u8>, bytes: &[u8]) {
    let at = rng.below(input.len() + 1);
    input.splice(at..at, bytes.iter().copied());
}

/// Enough for every datagram and a little more.
const INPUT_MAX: usize = 4_096;
const STACKED_MAX: usize = 6;
const HEADER_LEN: usize = 24;
