//! CPU time of this process from the kernel's scheduler accounting (nanosecond resolution, user + system, all threads).

use std::fs;
use std::time::Duration;

/// Time this process has run on a CPU. Source: `/proc/self/task/*/schedstat`, first field (nanoseconds).
pub(crate) fn consumed() -> Duration {
    let nanos = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanos)
}
