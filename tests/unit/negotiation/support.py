"""Captured descriptions, our endpoint, tracks to send, and a look into an answer as a client would take it."""

from __future__ import annotations

import re
from pathlib import Path

from sfu.negotiation import Answer, Answerer, Candidate, LocalEndpoint, OutboundTrack, SessionDescription
from sfu.negotiation.description import Section
from sfu.seam import Kind

DATA = Path(__file__).parents[2] / "data" / "sdp"
OFFERS = sorted(path.name for path in DATA.glob("*.offer.sdp"))
LOCAL = LocalEndpoint(
    ufrag="Serv0001",
    password="passwordpasswordpassword",
    fingerprint="sha-256 " + ":".join(["AB"] * 32),
    candidates=(Candidate("192.0.2.10", 7882), Candidate("2001:db8::10", 7882)),
)


def load(name: str) -> str:
    return (DATA / name).read_bytes().decode()


def first_choice(_cid: str) -> None:
    return None


def audio(number: int, **changes: object) -> OutboundTrack:
    return _track(number, "audio", "audio/opus", "minptime=10;useinbandfec=1", None, changes)


def video(number: int, mime_type: str = "video/VP8", fmtp: str = "", **changes: object) -> OutboundTrack:
    return _track(number, "video", mime_type, fmtp, 30_000 + number, changes)


def _track(
    number: int, kind: Kind, mime_type: str, fmtp: str, rtx_ssrc: int | None, changes: dict[str, object]
) -> OutboundTrack:
    values: dict[str, object] = {
        "track_sid": f"TR_{kind[0]}{number}",
        "participant_sid": "PA_alice",
        "kind": kind,
        "mime_type": mime_type,
        "fmtp": fmtp,
        "ssrc": (10_000 if kind == "audio" else 20_000) + number,
        "rtx_ssrc": rtx_ssrc,
        "cname": "alice",
    } | changes
    return OutboundTrack(**values)  # type: ignore[arg-type]


def answer(offer: str, *outbound: OutboundTrack, answerer: Answerer | None = None, codec: str | None = None) -> Answer:
    return (answerer or Answerer(LOCAL)).answer(offer, outbound, lambda _cid: codec)


def sections(text: str) -> dict[str, Section]:
    """By mid."""
    return {section.mid: section for section in SessionDescription.parse(text).sections}


def uris(section: Section) -> list[str]:
    return [value.split()[1] for value in section.attributes.get("extmap", [])]


def replace_section(offer: str, mid: str, pattern: str, replacement: str) -> str:
    """`re.sub` (multi-line) inside one section."""
    parts = re.split(r"(?m)^(?=m=)", offer)
    changed = [
        re.sub(pattern, replacement, part, flags=re.MULTILINE) if f"\r\na=mid:{mid}\r\n" in part else part
        for part in parts
    ]
    assert changed != parts, "the replacement changes something"
    return "".join(changed)


def set_direction(offer: str, mid: str, direction: str) -> str:
    return replace_section(offer, mid, r"^a=(sendrecv|sendonly|recvonly|inactive)\r$", f"a={direction}\r")


def grow(offer: str, audios: int, videos: int) -> str:
    """Adds recvonly sections as a client does after `media_sections_requirement`: copies of its first ones."""
    head, *parts = re.split(r"(?m)^(?=m=)", offer)
    mids = len(parts)
    for kind, number in (("audio", audios), ("video", videos)):
        template = next(part for part in parts if part.startswith(f"m={kind}") and "a=recvonly" in part)
        for _ in range(number):
            parts.append(re.sub(r"(?m)^a=mid:.*\r$", f"a=mid:{mids}\r", template))
            mids += 1
    group = " ".join(["a=group:BUNDLE", *(str(mid) for mid in range(mids))])
    return "".join([re.sub(r"(?m)^a=group:BUNDLE.*?(?=\r$)", group, head), *parts])
