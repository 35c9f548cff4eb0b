//! Sequences of operations: a call to begin with, then anything.

use crate::rng::Rng;

pub(super) fn operations() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(0, "operations");
    (0..super::COUNT_MIN + 10).map(|number| sequence(&mut rng, 5 + number)).collect()
}

/// Two clients, a camera and a microphone, both subscribed; then `len` random steps.
fn sequence(rng: &mut Rng, len: usize) -> Vec<u8> {
    let call = [[0, 0, 0], [0, 0, 0], [4, 0, 4], [4, 0, 1], [7, 1, 0], [7, 1, 1], [11, 0, 12], [11, 1, 0], [21, 50, 0]];
    let mut bytes = call.concat();
    for _ in 0..len {
        bytes.push(rng.below(24) as u8);
        bytes.extend(rng.bytes(2));
    }
    bytes
}
