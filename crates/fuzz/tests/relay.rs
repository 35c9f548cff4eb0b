//! The relay's corpus relays: a fuzzer of allocations that never come about would find nothing.

use fuzz::corpus;
use fuzz::targets::relayed;

#[test]
fn the_corpus_reaches_peers_media_sockets_and_clients() {
    let mut sums = [0; 3];
    for entry in corpus::load("relay").expect("the corpus") {
        for (sum, count) in sums.iter_mut().zip(relayed(&entry.bytes)) {
            *sum += count;
        }
    }
    assert!(sums.iter().all(|sum| *sum > 50), "to peers, to media, to clients: {sums:?}");
}
