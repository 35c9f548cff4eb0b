//! `EngineConfig` in, and what Python raises when the engine cannot start.

use std::net::IpAddr;

use engine::{EngineConfig, StartError};
use forward::srtp::Profile;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// The fields of `sfu.seam.EngineConfig`.
#[derive(FromPyObject)]
struct Fields {
    shards: usize,
    udp_port: u16,
    tcp_port: Option<u16>,
    bind: Vec<String>,
    seed: u64,
    srtp_profiles: Vec<String>,
}

pub(crate) fn read(config: &Bound<'_, PyAny>) -> PyResult<EngineConfig> {
    let fields: Fields = config.extract()?;
    let bind =
        fields.bind.iter().map(|host| host.parse().map_err(|_| bad_host(host))).collect::<PyResult<Vec<IpAddr>>>()?;
    let srtp_profiles =
        fields.srtp_profiles.iter().map(|name| name.parse().map_err(|_| bad_profile(name))).collect::<PyResult<_>>()?;
    let Fields { shards, udp_port, tcp_port, seed, .. } = fields;
    Ok(EngineConfig { shards, udp_port, tcp_port, bind, seed, srtp_profiles })
}

pub(crate) fn start_error(error: StartError) -> PyErr {
    let sentence = error.to_string();
    match error {
        StartError::Config(_) => PyValueError::new_err(sentence),
        StartError::Certificate(_) => PyRuntimeError::new_err(sentence),
        // With the number, Python picks the subclass (PermissionError ...) and sets `errno`.
        StartError::Bind { error, .. } | StartError::System(error) => match error.raw_os_error() {
            Some(code) => PyOSError::new_err((code, sentence)),
            None => PyOSError::new_err(sentence),
        },
    }
}

fn bad_host(host: &str) -> PyErr {
    PyValueError::new_err(format!("bind takes IPv4 and IPv6 addresses, which {host:?} is not"))
}

fn bad_profile(name: &str) -> PyErr {
    let known = Profile::ALL.map(Profile::as_str).join(", ");
    PyValueError::new_err(format!("srtp_profiles takes {known}; {name:?} is none of them"))
}
