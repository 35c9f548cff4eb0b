//! TURN's half of the seam: the dataclasses of `turn/seam.py` in and out. Its classes are looked up when TURN is first used.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use engine::{TurnCommand, TurnConfiguration, TurnEvent, TurnListen};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use relay::{
    AllocationId, AllocationLimits, AllocationStats, ClientId, ClientTransport, Configuration, Family,
    InstallAllocation, InstallChannel, MediaAddress, PasswordAlgorithm, PermissionRule, RelayCommand, RelayEvent,
    RelayHost, Reply, Request, RequestId,
};

type Object<'a, 'py> = &'a Bound<'py, PyAny>;

/// Raises `TypeError` for what is no command, `ValueError` for a value that makes no sense.
pub(crate) fn read(object: Object<'_, '_>) -> PyResult<TurnCommand> {
    let name = object.get_type().name()?;
    Ok(TurnCommand::Relay(match name.to_str()? {
        "ConfigureTurn" => return configuration(object).map(Box::new).map(TurnCommand::Configure),
        "TurnReply" => RelayCommand::Reply(reply(object)?),
        "InstallAllocation" => RelayCommand::InstallAllocation(install_allocation(object)?),
        "InstallPermission" => {
            RelayCommand::InstallPermission { allocation: allocation(object)?, host: host(&object.getattr("host")?)? }
        }
        "RemovePermission" => {
            RelayCommand::RemovePermission { allocation: allocation(object)?, host: host(&object.getattr("host")?)? }
        }
        "InstallChannel" => RelayCommand::InstallChannel(InstallChannel {
            allocation: allocation(object)?,
            channel: field(object, "channel")?,
            peer: address(&object.getattr("peer")?)?,
        }),
        "RemoveChannel" => {
            RelayCommand::RemoveChannel { allocation: allocation(object)?, channel: field(object, "channel")? }
        }
        "RemoveRelayed" => RelayCommand::RemoveRelayed {
            allocation: allocation(object)?,
            family: family(object.getattr("family")?.extract()?)?,
        },
        "RemoveAllocation" => RelayCommand::RemoveAllocation { allocation: allocation(object)? },
        other => return Err(PyTypeError::new_err(format!("{other} is not a command of turn.seam"))),
    }))
}

fn configuration(object: Object<'_, '_>) -> PyResult<TurnConfiguration> {
    let certificate: Option<Vec<u8>> = field(object, "certificate")?;
    let key: Option<Vec<u8>> = field(object, "key")?;
    Ok(TurnConfiguration {
        listen: each(object, "listen", listen)?,
        certificate: certificate.zip(key),
        connections_per_address: field(object, "connections_per_address")?,
        coalesce: Duration::from_micros(field(object, "coalesce_us")?),
        relay: Configuration {
            realm: field(object, "realm")?,
            relay_hosts: each(object, "relay_hosts", |item| {
                Ok(RelayHost { bind: host(&item.getattr("bind")?)?, advertised: host(&item.getattr("advertised")?)? })
            })?,
            relay_ports: field(object, "relay_ports")?,
            media: each(object, "media", |item| {
                Ok(MediaAddress { address: address(&item.getattr("address")?)?, shard: field(item, "shard")? })
            })?,
            allow_peers: each(object, "allow_peers", rule)?,
            deny_peers: each(object, "deny_peers", address)?,
            unauthenticated_per_s: field(object, "unauthenticated_per_s")?,
        },
    })
}

fn reply(object: Object<'_, '_>) -> PyResult<Reply> {
    let address_error: Option<(u8, u16)> = field(object, "address_error")?;
    Ok(Reply {
        request: RequestId(field(object, "request")?),
        error: field(object, "error")?,
        unknown_attributes: field(object, "unknown_attributes")?,
        lifetime_s: field(object, "lifetime_s")?,
        relayed: each(object, "relayed", address)?,
        address_error: address_error.map(|(version, code)| Ok::<_, PyErr>((family(version)?, code))).transpose()?,
        reservation_token: field(object, "reservation_token")?,
        key: field(object, "key")?,
    })
}

fn install_allocation(object: Object<'_, '_>) -> PyResult<InstallAllocation> {
    let limits = object.getattr("limits")?;
    Ok(InstallAllocation {
        allocation: allocation(object)?,
        client: ClientId(field(object, "client")?),
        relayed: each(object, "relayed", address)?,
        limits: AllocationLimits {
            packets_per_s: field(&limits, "packets_per_s")?,
            bytes_per_s: field(&limits, "bytes_per_s")?,
            new_peers_per_s: field(&limits, "new_peers_per_s")?,
        },
        dont_fragment: field(object, "dont_fragment")?,
    })
}

fn listen(object: Object<'_, '_>) -> PyResult<TurnListen> {
    let transport: String = field(object, "transport")?;
    let transport = match transport.as_str() {
        "udp" => ClientTransport::Udp,
        "tcp" => ClientTransport::Tcp,
        "tls" => ClientTransport::Tls,
        other => return Err(PyValueError::new_err(format!("transport is udp, tcp or tls; {other:?} is none of them"))),
    };
    Ok(TurnListen { address: address(object)?, transport })
}

fn rule(object: Object<'_, '_>) -> PyResult<PermissionRule> {
    let text: String = object.extract()?;
    let bad =
        || PyValueError::new_err(format!("allow_peers takes networks such as 203.0.113.0/24, which {text:?} is not"));
    let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let prefix_len: u8 = prefix.parse().map_err(|_| bad())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    if prefix_len > longest {
        return Err(bad());
    }
    Ok(PermissionRule { address, prefix_len })
}

fn allocation(object: Object<'_, '_>) -> PyResult<AllocationId> {
    field(object, "allocation").map(AllocationId)
}

/// Anything with a host and a port.
fn address(object: Object<'_, '_>) -> PyResult<SocketAddr> {
    Ok(SocketAddr::new(host(&object.getattr("host")?)?, field(object, "port")?))
}

fn host(object: Object<'_, '_>) -> PyResult<IpAddr> {
    let text: String = object.extract()?;
    text.parse().map_err(|_| PyValueError::new_err(format!("{text:?} is no IPv4 or IPv6 address")))
}

fn family(version: u8) -> PyResult<Family> {
    match version {
        4 => Ok(Family::V4),
        6 => Ok(Family::V6),
        other => Err(PyValueError::new_err(format!("a family is 4 or 6, not {other}"))),
    }
}

/// Names the field of a value that does not fit.
fn field<'py, T>(object: Object<'_, 'py>, name: &str) -> PyResult<T>
where
    T: for<'b> FromPyObject<'b, 'py>,
{
    let value = object.getattr(name)?;
    value.extract::<T>().map_err(|error| {
        let error: PyErr = error.into();
        let class = object.get_type().name().map(|class| class.to_string()).unwrap_or_default();
        PyTypeError::new_err(format!("{class}.{name}: {}", error.value(object.py())))
    })
}

fn each<'py, T>(
    object: Object<'_, 'py>,
    name: &str,
    read: impl Fn(Object<'_, 'py>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    object.getattr(name)?.try_iter()?.map(|item| read(&item?)).collect()
}

/// The classes of `turn.seam` that the engine makes objects of.
pub(crate) struct Classes {
    address: Py<PyAny>,
    listen: Py<PyAny>,
    method: Py<PyAny>,
    turn_request: Py<PyAny>,
    permission_installed: Py<PyAny>,
    client_gone: Py<PyAny>,
    listen_failed: Py<PyAny>,
    allocation_stats: Py<PyAny>,
}

impl Classes {
    pub(crate) fn load(py: Python<'_>) -> PyResult<Self> {
        let seam = py.import("turn.seam")?;
        let class = |name: &str| seam.getattr(name).map(Bound::unbind);
        Ok(Self {
            address: class("Address")?,
            listen: class("Listen")?,
            method: class("Method")?,
            turn_request: class("TurnRequest")?,
            permission_installed: class("PermissionInstalled")?,
            client_gone: class("ClientGone")?,
            listen_failed: class("ListenFailed")?,
            allocation_stats: class("AllocationStats")?,
        })
    }

    pub(crate) fn event<'py>(&self, py: Python<'py>, event: TurnEvent) -> PyResult<Bound<'py, PyAny>> {
        match event {
            TurnEvent::Relay(RelayEvent::Request(request)) => self.request(py, *request),
            TurnEvent::Relay(RelayEvent::PermissionInstalled { allocation, host, reason }) => {
                self.permission_installed.bind(py).call1((allocation.0, host.to_string(), reason))
            }
            TurnEvent::Relay(RelayEvent::ClientGone { client }) => self.client_gone.bind(py).call1((client.0,)),
            TurnEvent::ListenFailed { listen, reason } => {
                self.listen_failed.bind(py).call1((self.listen(py, &listen)?, reason))
            }
        }
    }

    pub(crate) fn listen<'py>(&self, py: Python<'py>, listen: &TurnListen) -> PyResult<Bound<'py, PyAny>> {
        let (host, port) = (listen.address.ip().to_string(), listen.address.port());
        self.listen.bind(py).call1((host, port, listen.transport.as_str()))
    }

    pub(crate) fn allocation_stats<'py>(
        &self,
        py: Python<'py>,
        stats: &AllocationStats,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.allocation_stats.bind(py).call1((
            stats.allocation.0,
            stats.packets_in,
            stats.bytes_in,
            stats.packets_out,
            stats.bytes_out,
            stats.zero_hop_packets,
        ))
    }

    fn address<'py>(&self, py: Python<'py>, address: &SocketAddr) -> PyResult<Bound<'py, PyAny>> {
        self.address.bind(py).call1((address.ip().to_string(), address.port()))
    }

    fn request<'py>(&self, py: Python<'py>, request: Request) -> PyResult<Bound<'py, PyAny>> {
        let peers = request.peers.iter().map(|(address, allowed)| Ok((self.address(py, address)?, *allowed)));
        let peers = PyTuple::new(py, peers.collect::<PyResult<Vec<_>>>()?)?;
        let algorithm = match request.password_algorithm {
            PasswordAlgorithm::Md5 => "md5",
            PasswordAlgorithm::Sha256 => "sha-256",
        };
        let fields = [
            ("request", request.request.0.into_pyobject(py)?.into_any()),
            ("client", request.client.0.into_pyobject(py)?.into_any()),
            ("remote", self.address(py, &request.address.remote)?),
            ("transport", request.address.transport.as_str().into_pyobject(py)?.into_any()),
            ("method", self.method.bind(py).call1((request.method,))?),
            ("allocation", request.allocation.map(|allocation| allocation.0).into_pyobject(py)?.into_any()),
            ("username", request.username.into_pyobject(py)?.into_any()),
            ("userhash", bytes(py, request.userhash.as_ref().map(<[u8; 32]>::as_slice))),
            ("realm", request.realm.into_pyobject(py)?.into_any()),
            ("sha256", request.sha256.into_pyobject(py)?.to_owned().into_any()),
            ("password_algorithm", algorithm.into_pyobject(py)?.into_any()),
            ("signed", bytes(py, Some(&request.signed))),
            ("mac", bytes(py, Some(&request.mac))),
            ("malformed", request.malformed.into_pyobject(py)?.to_owned().into_any()),
            ("unknown_attributes", PyTuple::new(py, request.unknown_attributes)?.into_any()),
            ("requested_transport", request.requested_transport.into_pyobject(py)?.into_any()),
            ("lifetime_s", request.lifetime_s.into_pyobject(py)?.into_any()),
            ("requested_family", request.requested_family.into_pyobject(py)?.into_any()),
            ("additional_family", request.additional_family.into_pyobject(py)?.into_any()),
            ("even_port", request.even_port.into_pyobject(py)?.into_any()),
            ("reservation_token", bytes(py, request.reservation_token.as_ref().map(<[u8; 8]>::as_slice))),
            ("dont_fragment", request.dont_fragment.into_pyobject(py)?.to_owned().into_any()),
            ("channel", request.channel.into_pyobject(py)?.into_any()),
            ("peers", peers.into_any()),
        ];
        let keywords = pyo3::types::PyDict::new(py);
        for (name, value) in fields {
            keywords.set_item(name, value)?;
        }
        self.turn_request.bind(py).call((), Some(&keywords))
    }
}

fn bytes<'py>(py: Python<'py>, value: Option<&[u8]>) -> Bound<'py, PyAny> {
    value.map_or_else(|| py.None().into_bound(py), |value| PyBytes::new(py, value).into_any())
}
