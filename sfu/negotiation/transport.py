"""The transport side of a description: ICE credentials, DTLS fingerprint and role, candidates, the data section.

One transport per connection: everything is bundled. We are ICE-lite and always the DTLS server, for then our SRTP
profile order decides (RFC 8842, RFC 8839).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from sfu.negotiation.description import Section, SessionDescription
from sfu.negotiation.types import Candidate, LocalEndpoint, RemoteParameters, SdpError


def remote_parameters(
    section: Section, application: Section | None, extensions: Mapping[str, int], setups: tuple[str, ...]
) -> RemoteParameters:
    """Reads what the bundle's first section says; `setups` are the DTLS roles that leave us the server."""
    setup = _one(section, "setup", default=setups[0])
    if setup not in setups:
        raise SdpError(f"a=setup:{setup[:20]} is not possible: this server is always the DTLS server (passive)")
    return RemoteParameters(
        ufrag=ice_ufrag(section),
        password=_checked(section, "ice-pwd", _PASSWORD),
        fingerprint=_fingerprint(section.inherited("fingerprint")),
        sctp_port=None if application is None else sctp_port(application),
        extensions=dict(extensions),
    )


def ice_ufrag(section: Section) -> str:
    """The client's user fragment (RFC 8839 section 5.4)."""
    return _checked(section, "ice-ufrag", _UFRAG)


def tagged_section(description: SessionDescription, accepted: Sequence[Section]) -> Section:
    """The section whose transport the bundle uses: the first of the group that is not rejected (RFC 9143 section 7)."""
    if not accepted:
        raise SdpError("no section of the description can be accepted")
    bundle = description.bundle or [accepted[0].mid]
    if accepted[0].mid == bundle[0]:
        return accepted[0]  # as good as always: no need to look at the others
    by_mid = {section.mid: section for section in accepted}
    return next((by_mid[mid] for mid in bundle if mid in by_mid), accepted[0])


def is_data_section(section: Section) -> bool:
    """A data channel section of RFC 8841."""
    return section.kind == "application" and "SCTP" in section.protocol and section.formats[0] == "webrtc-datachannel"


def sctp_port(section: Section) -> int:
    """5000 unless said otherwise (RFC 8841 section 5)."""
    text = section.first("sctp-port") or "5000"
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    if not 0 < port < 65536:
        raise SdpError(f"bad a=sctp-port:{text[:20]}")
    return port


def session_lines(session_id: int, version: int, mids: Sequence[str], *, mixed: bool) -> list[str]:
    """Everything before the first section."""
    lines = ["v=0", f"o=- {session_id} {version} IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if mids:
        lines.append(" ".join(("a=group:BUNDLE", *mids)))
    lines += ["a=ice-lite", "a=msid-semantic: WMS *"]
    if mixed:
        lines.append("a=extmap-allow-mixed")
    return lines


def transport_lines(local: LocalEndpoint, setup: str) -> list[str]:
    """What every accepted section repeats."""
    return [
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:{local.fingerprint}",
        f"a=setup:{setup}",
    ]


def candidate_lines(candidates: Sequence[Candidate]) -> list[str]:
    """For the bundle's first section only: the others share its transport. We never trickle."""
    lines = [_candidate(number, candidate) for number, candidate in enumerate(candidates)]
    return [*lines, "a=end-of-candidates"]


def data_lines(mid: str, transport: Sequence[str]) -> list[str]:
    """A data channel section."""
    return [
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        *transport,
        f"a=mid:{mid}",
        "a=sendrecv",
        "a=sctp-port:5000",
        f"a=max-message-size:{_MAX_MESSAGE_BYTES}",
    ]


@lru_cache(maxsize=64)  # every description names the same ones
def _candidate(number: int, candidate: Candidate) -> str:
    """RFC 8839 section 5.1; priorities as RFC 8445 section 5.1.2.1: UDP before TCP, IPv6 and IPv4 in the order given."""
    address = ipaddress.ip_address(candidate.host)
    type_preference = 126 if candidate.protocol == "udp" else 90
    priority = (type_preference << 24) + ((65535 - number) << 8) + 255
    tcp = " tcptype passive" if candidate.protocol == "tcp" else ""
    return f"a=candidate:{number + 1} 1 {candidate.protocol} {priority} {address} {candidate.port} typ host{tcp}"


def _fingerprint(values: Sequence[str]) -> str:
    """The SHA-256 fingerprint; a weaker hash alone is refused (RFC 8122 section 5)."""
    for value in values:
        algorithm, _, digest = value.partition(" ")
        if algorithm.lower() == "sha-256":
            if not _SHA256.fullmatch(digest.strip()):
                raise SdpError("a=fingerprint:sha-256 needs 32 bytes in hexadecimal")
            return f"sha-256 {digest.strip().upper()}"
    if values:
        raise SdpError("a=fingerprint must have a sha-256 digest; other hashes are not accepted")
    raise SdpError("a=fingerprint is missing")


def _checked(section: Section, name: str, pattern: re.Pattern[str]) -> str:
    value = _one(section, name, default=None)
    if not pattern.fullmatch(value):
        raise SdpError(f"bad a={name}")
    return value


def _one(section: Section, name: str, default: str | None) -> str:
    values = section.inherited(name)
    if values:
        return values[0].strip()
    if default is None:
        raise SdpError(f"a={name} is missing")
    return default


# 256 KiB: what browsers send at most; the engine refuses more.
_MAX_MESSAGE_BYTES = 262_144

# RFC 8839 section 5.4: ice-char = letters, digits, + and /.
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_SHA256 = re.compile(r"(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}")
