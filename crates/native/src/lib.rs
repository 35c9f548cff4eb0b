//! `sfu._native`: the engine as Python sees it. Converts between the seams (`sfu/seam.py`, `turn/seam.py`) and the engine's types,
//! nothing else.

mod command;
mod config;
mod event;
mod stats;
mod turn;

use std::os::fd::RawFd;
use std::time::Duration;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
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
    inner: engine::Engine,
    classes: Classes,
    turn_classes: PyOnceLock<turn::Classes>,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, config: &Bound<'_, PyAny>) -> PyResult<Self> {
        let config = config::read(config)?;
        let classes = Classes::load(py)?;
        let engine = py.detach(|| engine::Engine::start(&config)).map_err(config::start_error)?;
        Ok(Self { inner: engine, classes, turn_classes: PyOnceLock::new() })
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        self.inner.fingerprint()
    }

    fn addresses<'py>(&self, py: Python<'py>, shard: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let addresses = self.inner.addresses(shard).ok_or_else(|| PyIndexError::new_err("there is no such shard"))?;
        addresses.iter().map(|address| self.classes.address(py, address)).collect()
    }

    fn tcp_addresses<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.inner.tcp_addresses().iter().map(|address| self.classes.address(py, address)).collect()
    }

    fn fileno(&self) -> RawFd {
        self.inner.event_fd()
    }

    #[pyo3(signature = (limit = 4096))]
    fn drain<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for event in self.inner.drain(limit) {
            list.append(self.classes.event(py, event)?)?;
        }
        Ok(list)
    }

    fn submit(&self, commands: &Bound<'_, PyAny>) -> PyResult<()> {
        // All are read before any is handed over: a mistake in one leaves nothing half done.
        let commands = commands.try_iter()?.map(|item| command::read(&item?)).collect::<PyResult<Vec<_>>>()?;
        self.inner.submit(commands);
        Ok(())
    }

    fn submit_turn(&self, py: Python<'_>, commands: &Bound<'_, PyAny>) -> PyResult<()> {
        let commands = commands.try_iter()?.map(|item| turn::read(&item?)).collect::<PyResult<Vec<_>>>()?;
        py.detach(|| self.inner.submit_turn(commands)).map_err(Into::into)
    }

    #[pyo3(signature = (limit = 4096))]
    fn drain_turn<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for event in self.inner.drain_turn(limit) {
            list.append(self.turn_classes(py)?.event(py, event)?)?;
        }
        Ok(list)
    }

    fn turn_addresses<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let classes = self.turn_classes(py)?;
        self.inner.turn_addresses().iter().map(|listen| classes.listen(py, listen)).collect()
    }

    fn allocation_stats<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let classes = self.turn_classes(py)?;
        self.inner.allocation_stats().iter().map(|stats| classes.allocation_stats(py, stats)).collect()
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stats::build(py, &self.classes, &self.inner.snapshot())
    }

    #[pyo3(signature = (drain_for_s = 5.0))]
    fn close(&self, py: Python<'_>, drain_for_s: f64) -> PyResult<()> {
        let drain_for = Duration::try_from_secs_f64(drain_for_s)
            .map_err(|_| PyValueError::new_err("drain_for_s must be a number of seconds, 0 or more"))?;
        py.detach(|| self.inner.close(drain_for));
        Ok(())
    }

    fn _crash_shard(&self, shard: usize) {
        self.inner.crash(shard);
    }
}

impl Engine {
    fn turn_classes(&self, py: Python<'_>) -> PyResult<&turn::Classes> {
        self.turn_classes.get_or_try_init(py, || turn::Classes::load(py))
    }
}
