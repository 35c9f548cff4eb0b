//! One campaign: mutate a target's corpus until the time is up or something breaks.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use crate::corpus::{self, Entry};
use crate::mutate::mutate;
use crate::outcome::Outcome;
use crate::rng::{Rng, mix};
use crate::targets::Target;
use crate::watchdog::{INPUT_TIME_MAX, Watchdog};

/// How a campaign ended.
#[derive(Debug)]
pub struct Summary {
    /// Inputs run.
    pub runs: u64,
    /// Different outcomes seen.
    pub outcomes: usize,
    /// Where the shortest input that breaks the target was saved.
    pub crash: Option<PathBuf>,
}

/// Mutates the corpus of `target` for `time`. The sequence of inputs follows from `seed` alone.
pub fn run(target: &Target, time: Duration, seed: u64) -> io::Result<Summary> {
    let mut rng = Rng::new(seed, target.name);
    let mut pool = corpus::load(target.name)?;
    let name = target.name;
    let watchdog = Watchdog::start(move |input| {
        let saved = save(name, input);
        eprintln!("{name}: one input took longer than {INPUT_TIME_MAX:?}: {saved:?}");
    });
    let end = Instant::now() + time;
    let mut outcomes = HashSet::new();
    for entry in &pool {
        match watchdog.watch(&entry.bytes, || attempt(target, &entry.bytes)) {
            Some(outcome) => outcomes.insert(outcome),
            None => return broken(target, &entry.bytes, pool.len() as u64, outcomes.len()),
        };
    }
    let corpus_len = pool.len();
    let mut runs = corpus_len as u64;
    let clock_every = if target.slow { 1 } else { CLOCK_EVERY };
    while !runs.is_multiple_of(clock_every) || Instant::now() < end {
        let Some(base) = rng.pick(&pool) else { break };
        let input = mutate(&mut rng, &base.bytes, &pool);
        runs += 1;
        let Some(outcome) = watchdog.watch(&input, || attempt(target, &input)) else {
            return broken(target, &input, runs, outcomes.len());
        };
        if outcomes.len() < OUTCOMES_MAX && outcomes.insert(outcome) {
            let entry = Entry { name: String::new(), bytes: input };
            if pool.len() < corpus_len + KEPT_MAX {
                pool.push(entry);
            } else {
                let slot = corpus_len + rng.below(KEPT_MAX);
                pool[slot] = entry;
            }
        }
    }
    Ok(Summary { runs, outcomes: outcomes.len(), crash: None })
}

/// The outcome of one input, or `None` when the target panicked.
pub fn attempt(target: &Target, input: &[u8]) -> Option<Outcome> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).ok()
}

fn broken(target: &Target, input: &[u8], runs: u64, outcomes: usize) -> io::Result<Summary> {
    let input = shrink(target, input.to_vec());
    Ok(Summary { runs, outcomes, crash: Some(save(target.name, &input)?) })
}

/// Drops whatever the panic does not need: halves first, single bytes last.
fn shrink(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let mut step = input.len() / 2;
    while step > 0 {
        let mut at = 0;
        while at < input.len() {
            let mut shorter = input.clone();
            shorter.drain(at..(at + step).min(input.len()));
            if attempt(target, &shorter).is_none() {
                input = shorter;
            } else {
                at += step;
            }
        }
        step /= 2;
    }
    input
}

fn save(target: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes").join(target);
    fs::create_dir_all(&folder)?;
    let digest = input.iter().fold(0, |hash, byte| mix(hash ^ u64::from(*byte)));
    let path = folder.join(format!("{digest:016x}"));
    fs::write(&path, input)?;
    Ok(path)
}

/// The clock is read once per this many runs.
const CLOCK_EVERY: u64 = 64;
/// New inputs kept in memory beside the corpus.
const KEPT_MAX: usize = 4_096;
/// Outcomes remembered: enough to tell new from old, little enough for memory.
const OUTCOMES_MAX: usize = 1 << 20;
