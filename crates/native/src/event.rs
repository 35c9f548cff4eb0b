//! Events out: builds the dataclasses of `sfu/seam.py`, whose classes are looked up once per engine.

use std::net::SocketAddr;

use forward::{Event, TransportReport};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

/// The classes of `sfu.seam` that the engine makes objects of.
pub(crate) struct Classes {
    address: Py<PyAny>,
    pub(crate) stats: Py<PyAny>,
    pub(crate) shard_stats: Py<PyAny>,
    transport_connected: Py<PyAny>,
    transport_closed: Py<PyAny>,
    path_changed: Py<PyAny>,
    encoding_seen: Py<PyAny>,
    encoding_lost: Py<PyAny>,
    consumer_layer_changed: Py<PyAny>,
    audio_levels: Py<PyAny>,
    transport_report: Py<PyAny>,
    transport_reports: Py<PyAny>,
    data_channel_opened: Py<PyAny>,
    data_received: Py<PyAny>,
    data_overflow: Py<PyAny>,
    data_low: Py<PyAny>,
    refused: Py<PyAny>,
    shard_failed: Py<PyAny>,
}

impl Classes {
    pub(crate) fn load(py: Python<'_>) -> PyResult<Self> {
        let seam = py.import("sfu.seam")?;
        let class = |name: &str| seam.getattr(name).map(Bound::unbind);
        Ok(Self {
            address: class("Address")?,
            stats: class("Stats")?,
            shard_stats: class("ShardStats")?,
            transport_connected: class("TransportConnected")?,
            transport_closed: class("TransportClosed")?,
            path_changed: class("PathChanged")?,
            encoding_seen: class("EncodingSeen")?,
            encoding_lost: class("EncodingLost")?,
            consumer_layer_changed: class("ConsumerLayerChanged")?,
            audio_levels: class("AudioLevels")?,
            transport_report: class("TransportReport")?,
            transport_reports: class("TransportReports")?,
            data_channel_opened: class("DataChannelOpened")?,
            data_received: class("DataReceived")?,
            data_overflow: class("DataOverflow")?,
            data_low: class("DataLow")?,
            refused: class("Refused")?,
            shard_failed: class("ShardFailed")?,
        })
    }

    pub(crate) fn address<'py>(&self, py: Python<'py>, address: &SocketAddr) -> PyResult<Bound<'py, PyAny>> {
        self.address.bind(py).call1((address.ip().to_string(), address.port()))
    }

    pub(crate) fn event<'py>(&self, py: Python<'py>, event: Event) -> PyResult<Bound<'py, PyAny>> {
        match event {
            Event::TransportConnected { transport, remote, srtp_profile, protocol } => self
                .transport_connected
                .bind(py)
                .call1((transport.0, remote.to_string(), srtp_profile, protocol.as_str())),
            Event::TransportClosed { transport, reason } => self.transport_closed.bind(py).call1((transport.0, reason)),
            Event::PathChanged { transport, remote, protocol } => {
                self.path_changed.bind(py).call1((transport.0, remote.to_string(), protocol.as_str()))
            }
            Event::EncodingSeen { producer, encoding, ssrc } => {
                self.encoding_seen.bind(py).call1((producer.0, encoding, ssrc))
            }
            Event::EncodingLost { producer, encoding } => self.encoding_lost.bind(py).call1((producer.0, encoding)),
            Event::ConsumerLayerChanged { consumer, encoding } => {
                self.consumer_layer_changed.bind(py).call1((consumer.0, encoding))
            }
            Event::AudioLevels { levels } => {
                let levels = PyTuple::new(py, levels.into_iter().map(|(producer, level)| (producer.0, level)))?;
                self.audio_levels.bind(py).call1((levels,))
            }
            Event::TransportReports { reports } => {
                let reports = reports.into_iter().map(|report| self.transport_report(py, report));
                let reports = PyTuple::new(py, reports.collect::<PyResult<Vec<_>>>()?)?;
                self.transport_reports.bind(py).call1((reports,))
            }
            Event::DataChannelOpened { transport, label } => {
                self.data_channel_opened.bind(py).call1((transport.0, label))
            }
            Event::DataReceived { transport, label, payload } => {
                self.data_received.bind(py).call1((transport.0, label, PyBytes::new(py, &payload)))
            }
            Event::DataOverflow { transport } => self.data_overflow.bind(py).call1((transport.0,)),
            Event::DataLow { transport } => self.data_low.bind(py).call1((transport.0,)),
            Event::Refused { command, id, reason } => self.refused.bind(py).call1((command, id, reason)),
            Event::ShardFailed { shard, reason } => self.shard_failed.bind(py).call1((shard, reason)),
        }
    }

    fn transport_report<'py>(&self, py: Python<'py>, report: TransportReport) -> PyResult<Bound<'py, PyAny>> {
        self.transport_report.bind(py).call1((
            report.transport.0,
            report.rtt_ms,
            report.inbound_expected,
            report.inbound_lost,
            report.outbound_expected,
            report.outbound_lost,
        ))
    }
}
