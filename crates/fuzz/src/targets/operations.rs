//! Sequences of operations: three bytes each. On one shard, and on three, where clients that follow each other are apart.

use crate::operations::Operations;
use crate::outcome::Outcome;

pub(super) fn operations(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    for shards in [1, 3] {
        let mut operations = Operations::new(shards);
        for step in input.as_chunks::<3>().0.iter().take(STEPS_MAX) {
            operations.step(step[0], step[1], step[2]);
        }
        operations.finish(&mut outcome);
    }
    outcome
}

const STEPS_MAX: usize = 150;
