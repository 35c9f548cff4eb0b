"""Bounds on what one client can make us keep. LiveKit's numbers where it has them."""

from __future__ import annotations

from collections.abc import Mapping

from sfu.errors import LimitExceeded

MAX_NAME_BYTES = 256
MAX_METADATA_BYTES = 512 * 1024
#: Keys and values together.
MAX_ATTRIBUTES_BYTES = 64 * 1024
MAX_PENDING_TRACKS = 20
MAX_PUBLICATIONS = 100
#: Tracks one participant may be subscribed to: the negotiation's limit of sections.
MAX_SUBSCRIPTIONS = 900
#: Names in one request (`track_sids`, `destination_identities` ...).
MAX_REQUEST_ITEMS = 1_000


def check_name(value: str, what: str) -> None:
    if len(value.encode()) > MAX_NAME_BYTES:
        raise LimitExceeded(f"the {what} is longer than {MAX_NAME_BYTES} bytes; choose a shorter one")


def check_metadata(value: str) -> None:
    if len(value.encode()) > MAX_METADATA_BYTES:
        raise LimitExceeded(f"metadata is limited to {MAX_METADATA_BYTES} bytes; keep large data elsewhere")


def check_attributes(attributes: Mapping[str, str]) -> None:
    if sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items()) > MAX_ATTRIBUTES_BYTES:
        raise LimitExceeded(f"attributes are limited to {MAX_ATTRIBUTES_BYTES} bytes in all; remove some")
