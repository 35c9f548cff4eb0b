"""What every section of the configuration is made of."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


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
