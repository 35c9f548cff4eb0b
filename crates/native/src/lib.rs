//! `sfu._native`: the engine as Python sees it. Converts between `sfu/seam.py` and the engine's types, nothing else.

mod command;
mod config;
mod event;
mod stats;

use std::os::fd::RawFd;
use std::time::Duration;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use event::Classes;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::Engine;

    /// The version of the engine, which is that of the package.
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}

/// Owns every media socket and moves packets on its own threads.
#[pyclass(frozen, module = "sfu._native")]
struct Engine {
    engine: engine::Engine,
    classes: Classes,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, config: &Bound<'_, PyAny>) -> PyResult<Self> {
        let config = config::read(config)?;
        let classes = Classes::load(py)?;
        let engine = py.detach(|| engine::Engine::start(&config)).map_err(config::start_error)?;
        Ok(Self { engine, classes })
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        self.engine.fingerprint()
    }

    fn addresses<'py>(&self, py: Python<'py>, shard: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let addresses = self.engine.addresses(shard).ok_or_else(|| PyIndexError::new_err("there is no such shard"))?;
        addresses.iter().map(|address| self.classes.address(py, address)).collect()
    }

    fn fileno(&self) -> RawFd {
        self.engine.event_fd()
    }

    #[pyo3(signature = (limit = 4096))]
    fn drain<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for event in self.engine.drain(limit) {
            list.append(self.classes.event(py, event)?)?;
        }
        Ok(list)
    }

    fn submit(&self, commands: &Bound<'_, PyAny>) -> PyResult<()> {
        // All are read before any is handed over: a mistake in one leaves nothing half done.
        let commands = commands.try_iter()?.map(|item| command::read(&item?)).collect::<PyResult<Vec<_>>>()?;
        self.engine.submit(commands);
        Ok(())
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stats::build(py, &self.classes, &self.engine.snapshot())
    }

    #[pyo3(signature = (drain_for_s = 5.0))]
    fn close(&self, py: Python<'_>, drain_for_s: f64) -> PyResult<()> {
        let drain_for = Duration::try_from_secs_f64(drain_for_s)
            .map_err(|_| PyValueError::new_err("drain_for_s must be a number of seconds, 0 or more"))?;
        py.detach(|| self.engine.close(drain_for));
        Ok(())
    }

    fn _crash_shard(&self, shard: usize) {
        self.engine.crash(shard);
    }
}
