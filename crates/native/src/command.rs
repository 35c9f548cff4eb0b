//! Commands in: reads the dataclasses of `sfu/seam.py` by class name and attribute.

use forward::{
    AddConsumer, AddProducer, CloseTransport, Command, ConfigureConsumer, ConsumerId, EncodingParameters, Kind,
    OpenDataChannel, OpenTransport, PauseData, ProducerId, RemoveConsumer, RemoveProducer, RequestKeyframe, RestartIce,
    SendData, SetRemote, TransportId,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping};

/// A struct from the attributes of the same names.
macro_rules! read {
    ($object:ident as $name:ident { $($field:ident),* $(,)? }) => {
        $name { $($field: Field::read_attribute($object, intern!($object.py(), stringify!($field)))?),* }
    };
}

/// Raises `TypeError` for what is no command, and an error that names the field for a value that does not fit.
pub(crate) fn read(object: &Bound<'_, PyAny>) -> PyResult<Command> {
    let name = object.get_type().name()?;
    Ok(match name.to_str()? {
        "OpenTransport" => Command::OpenTransport(read!(object as OpenTransport { transport, shard, ufrag, password })),
        "SetRemote" => Command::SetRemote(read!(
            object as SetRemote { transport, ufrag, password, fingerprint, sctp_port, extensions }
        )),
        "RestartIce" => Command::RestartIce(read!(object as RestartIce { transport, ufrag, password })),
        "CloseTransport" => Command::CloseTransport(read!(object as CloseTransport { transport })),
        "AddProducer" => Command::AddProducer(read!(object as AddProducer {
            producer, transport, kind, mid, mime_type, clock_rate, payload_type, rtx_payload_type, encodings, nack,
            transport_cc, remb, red_payload_type,
        })),
        "RemoveProducer" => Command::RemoveProducer(read!(object as RemoveProducer { producer })),
        "AddConsumer" => Command::AddConsumer(read!(object as AddConsumer {
            consumer, producer, transport, mid, ssrc, rtx_ssrc, payload_type, rtx_payload_type, cname, paused, encoding,
            red_payload_type, playout_delay,
        })),
        "ConfigureConsumer" => {
            Command::ConfigureConsumer(read!(object as ConfigureConsumer { consumer, paused, encoding }))
        }
        "RemoveConsumer" => Command::RemoveConsumer(read!(object as RemoveConsumer { consumer })),
        "RequestKeyframe" => Command::RequestKeyframe(read!(object as RequestKeyframe { producer })),
        "OpenDataChannel" => Command::OpenDataChannel(read!(
            object as OpenDataChannel { transport, label, ordered, max_retransmits, stream }
        )),
        "SendData" => Command::SendData(read!(object as SendData { transports, label, payload })),
        "PauseData" => Command::PauseData(read!(object as PauseData { transport, paused })),
        other => return Err(PyTypeError::new_err(format!("{other} is not a command of sfu.seam"))),
    })
}

/// A value that an attribute may hold.
trait Field: Sized {
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self>;

    fn read_attribute(object: &Bound<'_, PyAny>, name: &Bound<'_, pyo3::types::PyString>) -> PyResult<Self> {
        Self::read(&object.getattr(name)?).map_err(|error| named(object, name, &error))
    }
}

/// The same kind of error, telling which field of which command.
fn named(object: &Bound<'_, PyAny>, field: &Bound<'_, pyo3::types::PyString>, error: &PyErr) -> PyErr {
    let py = object.py();
    let class = object.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    let text = format!("{class}.{field}: {}", error.value(py));
    if error.is_instance_of::<PyTypeError>(py) { PyTypeError::new_err(text) } else { PyValueError::new_err(text) }
}

macro_rules! plain_fields {
    ($($type:ty),*) => { $(impl Field for $type {
        fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
            value.extract()
        }
    })* };
}
plain_fields!(bool, u8, u16, u32, String, (u16, u16));

macro_rules! id_fields {
    ($($type:ident),*) => { $(impl Field for $type {
        fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
            value.extract().map($type)
        }
    })* };
}
id_fields!(TransportId, ProducerId, ConsumerId);

impl<T: Field> Field for Option<T> {
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if value.is_none() { Ok(None) } else { T::read(value).map(Some) }
    }
}

impl Field for Kind {
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        match value.extract::<&str>()? {
            "audio" => Ok(Self::Audio),
            "video" => Ok(Self::Video),
            other => Err(PyValueError::new_err(format!("{other:?} is neither 'audio' nor 'video'"))),
        }
    }
}

impl Field for Vec<TransportId> {
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        value.try_iter()?.map(|item| TransportId::read(&item?)).collect()
    }
}

impl Field for Vec<EncodingParameters> {
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let encoding = |item: Bound<'_, PyAny>| {
            let item = &item;
            Ok(read!(item as EncodingParameters { rid, ssrc, rtx_ssrc }))
        };
        value.try_iter()?.map(|item| encoding(item?)).collect()
    }
}

/// Header extensions: URI and id.
impl Field for Vec<(String, u8)> {
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        value.cast::<PyMapping>()?.items()?.iter().map(|item| item.extract()).collect()
    }
}

/// `bytes`, by one copy.
impl Field for Vec<u8> {
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(value.cast::<PyBytes>()?.as_bytes().to_vec())
    }
}
