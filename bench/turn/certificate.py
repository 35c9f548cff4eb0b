"""A self-signed certificate for the servers' TLS listeners; the generator accepts any."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from bench.namespace import SERVER
from control.tls import self_signed_pem


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files."""

    certificate: Path
    key: Path

    @classmethod
    def write(cls, directory: Path) -> Certificate:
        """One for the server's address, good for longer than a run."""
        pem = self_signed_pem([SERVER], datetime.datetime.now(datetime.UTC))
        made = cls(directory / "certificate.pem", directory / "key.pem")
        made.certificate.write_bytes(pem.certificate)
        made.key.write_bytes(pem.key)
        return made
