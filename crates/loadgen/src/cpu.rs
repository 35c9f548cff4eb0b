//! CPU time from the kernel's scheduler accounting (nanosecond resolution, user + system, all threads), and what a core did.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// Time this process has run on a CPU.
pub(crate) fn consumed() -> Duration {
    ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

/// Time a process has run on a CPU, its ended threads included; `None` when it is gone.
pub(crate) fn consumed_by(process: u32) -> Option<Duration> {
    clock_getcpuclockid(Pid::from_raw(process.cast_signed())).ok()?.now().ok().map(Duration::from)
}

/// Time the first thread of a process has run on a CPU. Source: `/proc/PID/task/PID/schedstat`, first field (nanoseconds).
pub(crate) fn consumed_by_main_thread(process: u32) -> Option<Duration> {
    let line = fs::read_to_string(format!("/proc/{process}/task/{process}/schedstat")).ok()?;
    line.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// What one core has done since the start of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Core {
    /// Whoever it worked for, interrupts included.
    pub(crate) busy: Duration,
    /// Taken away by the hypervisor.
    pub(crate) steal: Duration,
}

impl Core {
    /// Reads `/proc/stat`, which counts in hundredths of a second.
    pub(crate) fn read(number: usize) -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?, number)
    }

    fn parse(stat: &str, number: usize) -> Option<Self> {
        let name = format!("cpu{number}");
        let fields = stat.lines().find_map(|line| line.strip_prefix(&name)?.strip_prefix(' '))?;
        let ticks: Vec<u64> = fields.split_whitespace().map_while(|field| field.parse().ok()).collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else { return None };
        let time = |ticks| TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
        Some(Self { busy: time(user + nice + system + irq + softirq), steal: time(steal) })
    }
}

/// `USER_HZ` is 100 on every architecture that we build for.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cores_line_is_found_by_its_whole_number() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 3 100 50 4 5 6 0 0\ncpu10 7 7 7 7 7 7 7 7 0 0\nintr 1\n";
        let core = Core { busy: TICK * 15, steal: TICK * 6 };
        assert_eq!(Core::parse(stat, 1), Some(core));
        assert_eq!(Core::parse(stat, 2), None);
    }

    /// Beyond the largest number that Linux gives to a process.
    const NOBODY: u32 = 5_000_000;

    #[test]
    fn a_process_that_is_gone_has_no_time() {
        assert_eq!(consumed_by(NOBODY), None);
        assert_eq!(consumed_by_main_thread(NOBODY), None);
    }

    #[test]
    fn all_threads_have_run_at_least_as_long_as_the_first() {
        let first = consumed_by_main_thread(std::process::id()).expect("this process");
        assert!(consumed_by(std::process::id()).is_some_and(|all| all >= first && !all.is_zero()));
        assert!(!consumed().is_zero());
    }

    #[test]
    fn a_thread_that_has_ended_counts() {
        let before = consumed_by(std::process::id()).expect("this process");
        let busy = std::thread::spawn(|| {
            let started = consumed();
            while consumed() < started + Duration::from_millis(20) {
                std::hint::spin_loop();
            }
        });
        busy.join().expect("it only waits");
        let after = consumed_by(std::process::id()).expect("this process");
        assert!(after >= before + Duration::from_millis(15), "{before:?} {after:?}");
    }
}
