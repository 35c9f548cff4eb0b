"""Which outbound track goes into which section of an offer.

A track keeps its section. A section that loses its track is answered inactive once before it carries another: clients
fire a track event only when a section becomes active, so a direct swap would go unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sfu.negotiation.description import Section
from sfu.negotiation.types import OutboundTrack
from sfu.seam import Kind


@dataclass(frozen=True, slots=True)
class Placement:
    """See the fields of the same names in `types.Answer`."""

    track_of_mid: dict[str, OutboundTrack]
    missing: Counter[Kind]
    waiting: tuple[str, ...]
    unsupported: tuple[str, ...]


def place(sections: Sequence[Section], outbound: Sequence[OutboundTrack], previous: Mapping[str, str]) -> Placement:
    """`sections` are the acceptable ones of the offer, `previous` is mid -> track sid of the answer before."""
    receiving = [section for section in sections if section.direction == "recvonly" and section.kind != "application"]
    kept = _keep(receiving, outbound, previous)
    kept_sids = {track.track_sid for track in kept.values()}
    free = [section for section in receiving if section.mid not in previous]
    freed = Counter(section.kind for section in receiving if section.mid in previous and section.mid not in kept)
    supported: dict[tuple[str, str, str], bool] = {}
    waiting: list[OutboundTrack] = []
    unsupported: list[str] = []
    for track in outbound:
        if track.track_sid in kept_sids:
            continue
        section = next((section for section in free if _carries(section, track)), None)
        if section is not None:
            kept[section.mid] = track
            free.remove(section)
            continue
        form = (track.kind, track.mime_type, track.fmtp)
        if form not in supported:
            supported[form] = _is_supported(receiving, track)
        if supported[form]:
            waiting.append(track)
        else:
            unsupported.append(track.track_sid)
    needed: Counter[Kind] = Counter(track.kind for track in waiting)
    return Placement(
        track_of_mid=kept,
        missing=+Counter({kind: number - freed[kind] for kind, number in needed.items()}),
        waiting=tuple(track.track_sid for track in waiting),
        unsupported=tuple(unsupported),
    )


def _keep(
    receiving: Sequence[Section], outbound: Sequence[OutboundTrack], previous: Mapping[str, str]
) -> dict[str, OutboundTrack]:
    """The tracks of the answer before that are still wanted and whose section still takes them."""
    wanted = {track.track_sid: track for track in outbound}
    kept: dict[str, OutboundTrack] = {}
    for section in receiving:
        track = wanted.get(previous.get(section.mid, ""))
        if track is not None and _carries(section, track):
            kept[section.mid] = track
    return kept


def _carries(section: Section, track: OutboundTrack) -> bool:
    return section.kind == track.kind and section.codecs.find(track.mime_type, track.fmtp) is not None


def _is_supported(receiving: Sequence[Section], track: OutboundTrack) -> bool:
    """Some section, free or not, takes the codec. Yes as well while there is none of the kind to tell."""
    same_kind = [section for section in receiving if section.kind == track.kind]
    return not same_kind or any(_carries(section, track) for section in same_kind)
