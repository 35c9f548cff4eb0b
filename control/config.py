"""The configuration: one frozen model, a YAML file, and `BEEP_MEDIA_` variables over it.

Unknown keys are refused. `config.example.yaml` and `docs/config.md` are generated from this file (`make generate`).
Every key can be set by the environment: `BEEP_MEDIA_` + its path with `__` between levels, e.g. `BEEP_MEDIA_RTC__UDP_PORT`.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from control.addresses import Advertised
from control.errors import ConfigError
from control.section import Listen, ListenField, Section
from control.turn.config import TurnConfig
from sfu.policy.shards import DEFAULT_SPREAD

#: What `serve --dev` accepts, and what nothing else may serve to other machines.
DEV_KEYS = {"devkey": "secret"}


AdvertisedField = Annotated[Advertised, PlainValidator(Advertised.parse), PlainSerializer(str)]


class HttpConfig(Section):
    """Signalling, the server API and the meeting page."""

    listen: ListenField = Field(
        default=Listen("0.0.0.0", 7880),  # noqa: S104 (a server's purpose)
        description="Address of the HTTP and WebSocket listener. Plain HTTP: put a TLS proxy in front of it, or set `tls`.",
    )
    tls: TlsConfig | None = Field(default=None, description="Serve HTTPS with this certificate.")


class TlsConfig(Section):
    """PEM files, read at start."""

    certificate: str = Field(description="Path of the certificate chain.")
    key: str = Field(description="Path of the private key.")


class AdminConfig(Section):
    """`/livez`, `/readyz` and `/metrics`: for the machine's own agents, not for the world."""

    listen: ListenField | None = Field(
        default=Listen("127.0.0.1", 7889), description="Address of the admin listener (plain HTTP). null: none."
    )


class RtcConfig(Section):
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
    tcp_port: int | None = Field(
        default=7881,
        ge=0,
        le=65535,
        description="TCP port for media of clients that UDP does not reach, one for all shards. 0 lets the kernel choose. null: none.",
    )
    shards: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Packet threads. 0: one per CPU. Each costs about 10 MB.",
    )
    room_spread: int = Field(
        default=DEFAULT_SPREAD,
        ge=1,
        description="Participants of one room on one packet thread before it takes another; what crosses threads is copied once more.",
    )
    advertise: tuple[AdvertisedField, ...] = Field(
        default=(),
        description="Addresses that clients are told to send media to, IPv4 or IPv6. Empty: the machine's own, without loopback. "
        "With a port (203.0.113.7:40000) where UDP is forwarded from another one than `udp_port`; shard i: that port + i.",
    )

    @field_validator("bind")
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
        for each in self.advertise:
            last = each.port_of(self.shard_count - 1, own=0)
            if last > 65535:
                raise ValueError(
                    f"with {self.shard_count} shards the last port of {each} would be {last}; choose a lower one"
                )
        return self

    @property
    def shard_count(self) -> int:
        """`shards`, or one per CPU that this process may use."""
        return self.shards or len(os.sched_getaffinity(0))


class LogConfig(Section):
    """Structured lines on stderr."""

    format: Literal["console", "json"] = Field(
        default="json", description="`json`: one object per line. `console`: for people."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level written. Addresses and identities appear only at `debug`."
    )


class Config(Section):
    """The whole configuration of one node."""

    http: HttpConfig = Field(default_factory=HttpConfig)
    admin: AdminConfig = Field(default_factory=AdminConfig)
    rtc: RtcConfig = Field(default_factory=RtcConfig)
    turn: TurnConfig = Field(default_factory=TurnConfig)
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


def changed_keys(old: Config, new: Config) -> list[str]:
    """Of sections that are read at start only: the keys that differ, as far as a key of the file says it."""
    before, after = (config.model_dump(exclude={"turn"}) for config in (old, new))
    return sorted(_differences(before, after))


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in before.keys() & after.keys():
        if key != "keys" and isinstance(before[key], dict) and isinstance(after[key], dict):
            yield from (f"{key}.{below}" for below in _differences(before[key], after[key]))
        elif before[key] != after[key]:
            yield key


def check_serving(config: Config, *, dev: bool, role: str = "all") -> None:
    """What is fine in a file but not to serve with. Raises `ConfigError`."""
    if role == "turn":
        if not config.turn.listen:
            raise ConfigError("turn.listen: TURN alone without a listener serves nobody. Name one: udp://0.0.0.0:3478.")
        return
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
        path = _path([first, *rest])
        at = values
        for level in path[:-1]:
            at = at.setdefault(level, {})
            if not isinstance(at, dict):
                raise ConfigError(f"{name}: a variable for one of its parents is set, too. Keep one of the two.")
        at[path[-1]] = environment[name] if _is_text(path) else _scalar(name, environment[name])
    return values


def _path(levels: list[str]) -> list[str]:
    """In lower case, but for names that the configuration gives."""
    lower = [level.lower() for level in levels]
    named = next((names for names in _NAMED if lower[: len(names)] == names), lower)
    return lower[: len(named)] + levels[len(named) :]


def _is_text(path: list[str]) -> bool:
    """Whether the key takes a string as it stands, so that `8` or `null` there is not read as YAML."""
    if path[:-1] in _NAMED:
        return True
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
#: Below these the case matters, and values are text.
_NAMED = [["keys"], ["turn", "users"]]

HttpConfig.model_rebuild()
