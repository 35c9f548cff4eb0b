"""Log lines: shape, rate limit per reason, and no address or identity above DEBUG."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from control import logs

ADDRESSES = ["192.0.2.17", "127.0.0.1", "2001:db8::17", "::1", "::ffff:192.0.2.17", "fe80::1"]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    logs.configure("json", "debug", out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def record(reason: str | None, at: float, logger: str = "a") -> logging.LogRecord:
    made = logging.LogRecord(logger, logging.WARNING, "", 0, "dropped", (), None)
    made.created = at
    if reason is not None:
        made.reason = reason
    return made


def test_a_line_is_one_json_object(stream: io.StringIO) -> None:
    logging.getLogger("x.y").warning("it broke", extra={"shard": 3, "why": 'a "quoted"\nline'})
    (line,) = lines(stream)
    assert line.pop("ts").endswith("Z")
    assert line == {"level": "warning", "logger": "x.y", "event": "it broke", "shard": 3, "why": 'a "quoted"\nline'}


def test_an_exception_stays_on_its_line(stream: io.StringIO) -> None:
    try:
        raise RuntimeError("at 192.0.2.17")
    except RuntimeError:
        logging.getLogger("x").exception("it broke")
    (line,) = lines(stream)
    assert "RuntimeError: at [address]" in line["exception"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_no_address_is_written_above_debug(stream: io.StringIO, level: int, address: str) -> None:
    log = logging.getLogger("x")
    log.log(level, "from %s", address)
    log.log(level, f"peer [{address}]:5000, {address}")
    log.log(level, "seen", extra={"where": address, "list": [address, 5], "remote": address, "address": address})
    assert address not in stream.getvalue()
    assert len(lines(stream)) == 3


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_are_written_at_debug(stream: io.StringIO, address: str) -> None:
    logging.getLogger("x").debug("from %s", address, extra={"remote": address})
    (line,) = lines(stream)
    assert line["event"] == f"from {address}"
    assert line["remote"] == address


def test_identities_are_written_at_debug_only(stream: io.StringIO) -> None:
    log = logging.getLogger("x")
    log.info("joined", extra={"identity": "bob", "participant_sid": "PA_1"})
    log.debug("joined", extra={"identity": "bob"})
    above, at = lines(stream)
    assert "bob" not in str(above)
    assert above["participant_sid"] == "PA_1"
    assert at["identity"] == "bob"


@pytest.mark.parametrize("text", ["took 12:34:56", "version 1.2.3", "300.1.1.1 items", "AA:BB:CC", "a::b::c"])
def test_what_only_looks_like_an_address_stays(stream: io.StringIO, text: str) -> None:
    logging.getLogger("x").info(text)
    assert lines(stream)[0]["event"] == text


def test_one_line_per_second_and_reason() -> None:
    once = logs.OncePerSecond()
    assert [once.filter(record("full", at)) for at in (10.0, 10.1, 10.9, 11.0, 11.5, 12.1)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


def test_the_next_line_says_how_many_were_held_back() -> None:
    once = logs.OncePerSecond()
    for at in (10.0, 10.1, 10.2):
        once.filter(record("full", at))
    later = record("full", 11.0)
    assert once.filter(later)
    assert later.held_back == 2  # type: ignore[attr-defined]


def test_reasons_and_loggers_do_not_hold_each_other_back() -> None:
    once = logs.OncePerSecond()
    assert once.filter(record("full", 10.0))
    assert once.filter(record("late", 10.0))
    assert once.filter(record("full", 10.0, logger="b"))


def test_lines_without_a_reason_always_pass() -> None:
    once = logs.OncePerSecond()
    assert all(once.filter(record(None, 10.0)) for _ in range(5))


def test_made_up_reasons_cost_bounded_memory() -> None:
    once = logs.OncePerSecond()
    for number in range(5000):
        once.filter(record(f"reason {number}", 10.0))
    assert len(once._last) <= 1000


def test_the_console_form_is_one_line() -> None:
    made = record("too big", 0.0)
    made.size = 5
    assert logs.ConsoleFormatter().format(made) == '00:00:00.000 warning a: dropped reason="too big" size=5'
