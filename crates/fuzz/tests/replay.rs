//! Every file of every corpus runs without breaking its target, whole and cut short.

use fuzz::corpus::{self, GENERATED_PREFIX};
use fuzz::seeds::COUNT_MIN;
use fuzz::targets;

#[test]
fn every_corpus_holds_at_least_fifty_files() {
    for target in targets::ALL {
        let count = corpus::load(target.name).expect(target.name).len();
        assert!(count >= COUNT_MIN, "{}: {count} files", target.name);
    }
}

#[test]
fn every_corpus_folder_has_a_target() {
    let folders = std::fs::read_dir(corpus::folder("")).expect("the corpus folder");
    for folder in folders {
        let name = folder.expect("an entry").file_name();
        assert!(targets::ALL.iter().any(|target| name.to_str() == Some(target.name)), "{name:?} has no target");
    }
}

#[test]
fn generated_files_are_what_the_generator_makes() {
    for target in targets::ALL {
        let mut on_disk = corpus::load(target.name).expect(target.name);
        on_disk.retain(|entry| entry.name.starts_with(GENERATED_PREFIX));
        assert!(on_disk == corpus::generated(target), "{}: run `cargo run -p fuzz -- generate`", target.name);
    }
}

#[test]
fn every_file_replays_whole_and_cut_short() {
    for target in targets::ALL {
        for entry in corpus::load(target.name).expect(target.name) {
            let shortest = if target.slow { entry.bytes.len() } else { 0 };
            for len in shortest..=entry.bytes.len() {
                let input = &entry.bytes[..len];
                let broke = std::panic::catch_unwind(|| (target.run)(input)).is_err();
                assert!(!broke, "{}/{} broke its target at {len} bytes", target.name, entry.name);
            }
        }
    }
}
