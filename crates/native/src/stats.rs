//! Stats out: what the shards posted last, as `sfu.seam.Stats`.

use engine::ShardStats;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::event::Classes;

pub(crate) fn build<'py>(py: Python<'py>, classes: &Classes, shards: &[ShardStats]) -> PyResult<Bound<'py, PyAny>> {
    let shards = shards.iter().map(|stats| shard(py, classes, stats)).collect::<PyResult<Vec<_>>>()?;
    classes.stats.bind(py).call1((PyTuple::new(py, shards)?,))
}

fn shard<'py>(py: Python<'py>, classes: &Classes, stats: &ShardStats) -> PyResult<Bound<'py, PyAny>> {
    let counters = PyDict::new(py);
    for (name, value) in &stats.counters {
        counters.set_item(name, value)?;
    }
    let latency = &stats.forward_latency;
    let buckets = latency.cumulative().map(|(bound_us, count)| (bound_us.map_or(-1, |us| us as i64), count));
    let buckets = PyTuple::new(py, buckets.collect::<Vec<_>>())?;
    classes.shard_stats.bind(py).call1((counters, buckets, latency.sum_us()))
}
