//! Ends the process when one input takes far too long: a parser that loops would otherwise hang the campaign unseen.
//!
//! What counts is the processor time of the thread that runs it: a busy or stopped machine is no loop.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, thread};

/// Watches the thread that started it.
pub(crate) struct Watchdog {
    current: Arc<Mutex<Running>>,
    stop: Arc<AtomicBool>,
}

/// The input that runs, if one does.
#[derive(Default)]
struct Running {
    number: u64,
    input: Option<Vec<u8>>,
}

impl Watchdog {
    /// `too_long` gets the input that ran for longer than an input may, and the process ends.
    pub(crate) fn start(too_long: impl Fn(&[u8]) + Send + 'static) -> Self {
        let current = Arc::new(Mutex::new(Running::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (watched, stopped, thread) = (Arc::clone(&current), Arc::clone(&stop), this_thread());
        thread::spawn(move || {
            let mut suspect = Suspect::default();
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(GLANCE_PAUSE);
                // The next input waits for the lock: the time read below is this one's.
                let running = watched.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(input) = &running.input
                    && suspect.is_too_long(running.number, thread.as_deref().and_then(processor_time))
                {
                    too_long(input);
                    std::process::exit(1);
                }
            }
        });
        Self { current, stop }
    }

    /// Runs `work` as the next input.
    pub(crate) fn watch<T>(&self, input: &[u8], work: impl FnOnce() -> T) -> T {
        self.set(Some(input.to_vec()));
        let result = work();
        self.set(None);
        result
    }

    fn set(&self, input: Option<Vec<u8>>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.number += u64::from(input.is_some());
        current.input = input;
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The input seen at the last glance, and what its thread had used when it was seen first.
#[derive(Default)]
struct Suspect {
    number: u64,
    used: Option<Duration>,
    glances: u32,
}

impl Suspect {
    /// One glance at what runs.
    fn is_too_long(&mut self, number: u64, used: Option<Duration>) -> bool {
        if self.number != number {
            *self = Self { number, used, glances: 0 };
        }
        self.glances += 1;
        let busy = used.zip(self.used).map(|(now, first)| now.saturating_sub(first));
        busy.is_some_and(|busy| busy > INPUT_TIME_MAX) || self.glances > GLANCES_MAX
    }
}

/// Where Linux tells about this thread.
fn this_thread() -> Option<PathBuf> {
    fs::read_link("/proc/thread-self").ok().map(|link| Path::new("/proc").join(link).join("schedstat"))
}

/// How long a thread has run, without its waits for a processor.
fn processor_time(thread: &Path) -> Option<Duration> {
    let text = fs::read_to_string(thread).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Real inputs take microseconds.
pub(crate) const INPUT_TIME_MAX: Duration = Duration::from_secs(5);
const GLANCE_PAUSE: Duration = Duration::from_millis(200);
/// An input that waits for something uses no processor, and elsewhere than on Linux nobody tells: a minute of glances, then.
const GLANCES_MAX: u32 = 300;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_input_that_computes_for_more_than_five_seconds_is_too_long() {
        let mut suspect = Suspect::default();
        assert!(!suspect.is_too_long(1, Some(100 * SECOND)));
        assert!(!suspect.is_too_long(1, Some(105 * SECOND)));
        assert!(!suspect.is_too_long(2, Some(106 * SECOND)), "another input");
        assert!(!suspect.is_too_long(2, Some(111 * SECOND)));
        assert!(suspect.is_too_long(2, Some(112 * SECOND)));
    }

    #[test]
    fn a_starved_input_is_not_too_long_before_a_minute_of_glances() {
        for used in [Some(SECOND), None] {
            let mut suspect = Suspect::default();
            assert_eq!((0..400).position(|_| suspect.is_too_long(1, used)), Some(300));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_sleeps_uses_no_processor_time_and_one_that_computes_does() {
        let thread = this_thread().expect("Linux knows its threads");
        let used = || processor_time(&thread).expect("a thread has a time");
        let before = used();
        thread::sleep(Duration::from_millis(300));
        let asleep = used().saturating_sub(before);
        assert!(asleep < Duration::from_millis(100), "{asleep:?}");
        let end = Instant::now() + 20 * SECOND;
        while used().saturating_sub(before) < Duration::from_millis(200) {
            assert!(Instant::now() < end, "no time passes for a thread that computes");
        }
    }
}
