"""The configuration: one frozen model, a YAML file, and `BEEP_MEDIA_` variables over it.

Unknown keys are refused. `config.example.yaml` and `docs/config.md` are generated from this file (`make generate`).
Every key can be set by the environment: `BEEP_MEDIA_` + its path with `__` between levels, e.g. `BEEP_MEDIA_RTC__UDP_PORT`.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from control.errors import ConfigError

#: What `serve --dev` accepts, and what nothing else may serve to other machines.
DEV_KEYS = {"devkey": "secret"}


@dataclass(frozen=True, slots=True)
class Listen:
    """A TCP socket address: `host:port`, an IPv6 host in brackets. Port 0 lets the kernel choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, value: object) -> Listen:
        """Raises `ValueError` with a sentence."""
        if isinstance(value, Listen):
            return value
        host, colon, port = str(value).rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise ValueError("write it as host:port, for example 127.0.0.1:7880 or [::1]:7880")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not bare or (":" in bare and bare == host):
            raise ValueError("write it as host:port, an IPv6 host in brackets: [::]:7880")
        return cls(bare, int(port))

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


ListenField = Annotated[Listen, PlainValidator(Listen.parse), PlainSerializer(str)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class HttpConfig(_Section):
    """Signalling, the server API and the meeting page."""

    listen: ListenField = Field(
        default=Listen("0.0.0.0", 7880),  # noqa: S104 (a server's purpose)
        description="Address of the HTTP and WebSocket listener. Plain HTTP: put a TLS proxy in front of it, or set `tls`.",
    )
    tls: TlsConfig | None = Field(default=None, description="Serve HTTPS with this certificate.")


class TlsConfig(_Section):
    """PEM files, read at start."""

    certificate: str = Field(description="Path of the certificate chain.")
    key: str = Field(description="Path of the private key.")


class AdminConfig(_Section):
    """`/livez`, `/readyz` and `/metrics`: for the machine's own agents, not for the world."""

    listen: ListenField | None = Field(
        default=Listen("127.0.0.1", 7889), description="Address of the admin listener (plain HTTP). null: none."
    )


class RtcConfig(_Section):
    """Media sockets."""

    bind: tuple[str, ...] = Field(
        default=("0.0.0.0", "::"),  # noqa: S104 (a server's purpose)
        min_length=1,
        description="Local addresses to bind for media. An address family that the machine lacks is left out.",
    )
    udp_port: int = Field(
        default=7882,
        ge=0,
        le=65535,
        description="First UDP port; shard i uses udp_port + i. 0 lets the kernel choose one per shard.",
    )
    tcp_port: int = Field(
        default=0, ge=0, le=65535, description="TCP port for media. Only 0 (off) is supported so far."
    )
    shards: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Packet threads; a room lives on one. 0: one per CPU. Each costs about 10 MB.",
    )
    advertise: tuple[str, ...] = Field(
        default=(),
        description="Addresses that clients are told to send media to, IPv4 or IPv6. Empty: the machine's own, without loopback.",
    )

    @field_validator("bind", "advertise")
    @classmethod
    def _literals(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise ValueError(f"'{address}' is not an IP address; host names are not looked up here") from None
        return addresses

    @model_validator(mode="after")
    def _ports_exist(self) -> RtcConfig:
        last = self.udp_port + self.shard_count - 1
        if self.udp_port and last > 65535:
            raise ValueError(
                f"with {self.shard_count} shards the last UDP port would be {last}; choose a lower udp_port"
            )
        return self

    @property
    def shard_count(self) -> int:
        """`shards`, or one per CPU that this process may use."""
        return self.shards or len(os.sched_getaffinity(0))

    @field_validator("tcp_port")
    @classmethod
    def _no_tcp_yet(cls, port: int) -> int:
        if port:
            raise ValueError("media over TCP is not served yet; leave it at 0")
        return port


class LogConfig(_Section):
    """Structured lines on stderr."""

    format: Literal["console", "json"] = Field(
        default="json", description="`json`: one object per line. `console`: for people."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level written. Addresses and identities appear only at `debug`."
    )


class Config(_Section):
    """The whole configuration of one node."""

    http: HttpConfig = Field(default_factory=HttpConfig)
    admin: AdminConfig = Field(default_factory=AdminConfig)
    rtc: RtcConfig = Field(default_factory=RtcConfig)
    keys: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="API key -> secret. Tokens are signed with the secret: 32 random characters or more.",
    )
    drain_for_s: float = Field(
        default=5.0,
        ge=0,
        le=3600,
        description="Seconds between SIGTERM and the end of the process at the latest. Clients are told to leave at once.",
    )
    log: LogConfig = Field(default_factory=LogConfig)

    @model_validator(mode="after")
    def _sound_keys(self) -> Config:
        for name, secret in self.keys.items():
            if not name:
                raise ValueError("keys: an API key is empty")
            if not secret.get_secret_value():
                raise ValueError(f"keys.{name}: the secret is empty")
        return self

    @property
    def secrets(self) -> dict[str, str]:
        """API key -> secret in the clear, as `control.tokens.verify` wants it."""
        return {name: secret.get_secret_value() for name, secret in self.keys.items()}


def load(
    path: Path | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
) -> Config:
    """`defaults`, then the file, then the environment, then `overrides` (nested, from the command line), the last one wins.

    Raises `ConfigError` with a sentence per problem.
    """
    values: dict[str, Any] = {}
    _merge(values, defaults or {})
    _merge(values, _read(path) if path else {})
    _merge(values, _from_environment(environment))
    _merge(values, overrides or {})
    try:
        # Through JSON, so that strict mode takes YAML's lists for tuples and nothing else for anything.
        return Config.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(problem) for problem in error.errors(include_url=False))) from error


def check_serving(config: Config, *, dev: bool) -> None:
    """What is fine in a file but not to serve with. Raises `ConfigError`."""
    if not config.keys:
        raise ConfigError("keys: there is no API key. Set `keys: {<name>: <secret>}`, or run with --dev for a try-out.")
    if not dev and not config.http.listen.is_loopback:
        for name, secret in config.secrets.items():
            if name in DEV_KEYS or secret in DEV_KEYS.values():
                raise ConfigError(
                    f"keys.{name}: this is the development key, and http.listen ({config.http.listen}) is reachable from other "
                    "machines. Set a key and a secret of your own (openssl rand -hex 32), listen on 127.0.0.1, or run with --dev."
                )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: should be a mapping such as `http: ...`, `rtc: ...`; `config.example.yaml` shows every key."
        )
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        first, *rest = name.removeprefix(ENVIRONMENT_PREFIX).split("__")
        # API keys are the one level whose case matters.
        path = [first.lower(), *(rest if first.lower() == "keys" else [level.lower() for level in rest])]
        at = values
        for level in path[:-1]:
            at = at.setdefault(level, {})
            if not isinstance(at, dict):
                raise ConfigError(f"{name}: a variable for one of its parents is set, too. Keep one of the two.")
        at[path[-1]] = environment[name] if _is_text(path) else _scalar(name, environment[name])
    return values


def _is_text(path: list[str]) -> bool:
    """Whether the key takes a string as it stands, so that `8` or `null` there is not read as YAML."""
    if path[0] == "keys":
        return len(path) == 2
    model: Any = Config
    for level in path:
        field = getattr(model, "model_fields", {}).get(level)
        if field is None:
            return False
        model = next((part for part in get_args(field.annotation) if hasattr(part, "model_fields")), field.annotation)
    return model in (str, Listen) or all(isinstance(part, str) for part in get_args(model) or (None,))


def _scalar(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is not a YAML value: {error}") from error


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _sentence(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{path}: there is no such key. `config.example.yaml` shows every key."
    message = problem["msg"].removeprefix("Value error, ")
    return f"{path}: {message}." if path else f"{message}."


ENVIRONMENT_PREFIX = "BEEP_MEDIA_"

HttpConfig.model_rebuild()
