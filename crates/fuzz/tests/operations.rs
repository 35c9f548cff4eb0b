//! The machine of operations does what its steps say: a fuzzer of calls that never connect would find nothing.

use fuzz::operations::Operations;

#[test]
fn a_call_made_of_steps_forwards_media_until_it_ends() {
    call_forwards_media_until_it_ends(1);
}

#[test]
fn so_does_one_whose_clients_are_on_different_shards() {
    call_forwards_media_until_it_ends(3);
}

fn call_forwards_media_until_it_ends(shards: u32) {
    let mut call = Operations::new(shards);
    // Two clients; the first publishes a camera and a microphone, the second receives both.
    for step in [[0, 0, 0], [0, 0, 0], [4, 0, 4], [4, 0, 1], [7, 1, 0], [7, 1, 1]] {
        call.step(step[0], step[1], step[2]);
    }
    for round in 0..20 {
        // Four packets of a frame of each encoding, the first a keyframe; then one of sound.
        for encoding in 0..3 {
            call.step(11, 0, 12 + 16 * (encoding % 3) + if round == 0 { 0 } else { 32 });
        }
        call.step(11, 1, 0);
        call.step(21, 33, 0);
    }
    assert!(call.forwarded() > 60, "{}", call.forwarded());
    let before = call.forwarded();
    // The subscriber leaves.
    call.step(2, 1, 0);
    call.step(11, 1, 0);
    assert_eq!(call.forwarded(), before);
    call.finish(&mut fuzz::outcome::Outcome::default());
}
