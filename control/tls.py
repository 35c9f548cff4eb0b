"""Certificates: the operator's, or a self-signed one for a try-out on the local network."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from control.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate chain and its private key."""

    certificate: bytes
    key: bytes = field(repr=False)


def from_files(certificate: str, key: str, setting: str = "http.tls") -> ssl.SSLContext:
    """Raises `ConfigError` when the files cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{setting}: {certificate} and {key} cannot be used: {error}") from error
    return context


def read_files(certificate: str, key: str, setting: str) -> Pem:
    """Raises `ConfigError` when the files cannot be used."""
    from_files(certificate, key, setting)
    try:
        return Pem(Path(certificate).read_bytes(), Path(key).read_bytes())
    except OSError as error:
        raise ConfigError(f"{setting}: {certificate} and {key} cannot be used: {error}") from error


def self_signed(addresses: Iterable[str], now: datetime.datetime) -> ssl.SSLContext:
    """As `self_signed_pem` makes it."""
    pem = self_signed_pem(addresses, now)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # The ssl module reads files only; this one is readable by us alone and gone at once.
    with tempfile.TemporaryDirectory(prefix="beep-media-") as directory:
        path = Path(directory) / "dev.pem"
        path.write_bytes(pem.key + pem.certificate)
        context.load_cert_chain(path)
    return context


def self_signed_pem(addresses: Iterable[str], now: datetime.datetime) -> Pem:
    """A new key and certificate for localhost, this machine's name and `addresses`, valid for 30 days and never kept."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Beep Media (development)")])
    hosts: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName(socket.gethostname()[:64] or "localhost")]
    hosts += [x509.IPAddress(ipaddress.ip_address(address)) for address in dict.fromkeys(addresses)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pem(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _no_password() -> str:
    """Instead of a prompt at the terminal."""
    raise ValueError("the key is encrypted; store it without a password")
