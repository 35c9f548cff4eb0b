"""Log lines: one JSON object or one console line each, on stderr.

Say what happened in a constant sentence and put the facts into `extra`. A record with `extra={"reason": ...}` passes at most once
per second, logger and reason; the next one says how many were held back. Addresses and identities are written at DEBUG only:
above it, fields that hold them are dropped and whatever looks like an IP address in the text is blanked.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import sys
import time
from typing import Any, Literal, TextIO


def configure(log_format: Literal["console", "json"], level: str, stream: TextIO | None = None) -> logging.Handler:
    """Sends every logger's records of `level` and above to `stream` (stderr), in place of what was set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else ConsoleFormatter())
    handler.addFilter(OncePerSecond())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    return handler


class OncePerSecond(logging.Filter):
    """Passes one record per second for each (logger, reason); records without a `reason` always pass."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}
        self._held_back: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        reason = getattr(record, "reason", None)
        if reason is None:
            return True
        key = (record.name, str(reason)[:_MAX_REASON])
        if record.created - self._last.get(key, 0.0) < 1.0:
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return False
        if len(self._last) >= _MAX_REASONS:
            self._last.clear()
            self._held_back.clear()
        self._last[key] = record.created
        if held_back := self._held_back.pop(key, 0):
            record.held_back = held_back
        return True


class JsonFormatter(logging.Formatter):
    """`{"ts": ..., "level": ..., "logger": ..., "event": ..., <fields>}`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _message(record),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = _redact(self.formatException(record.exc_info), record)
        return json.dumps(line, default=str, ensure_ascii=False)


class ConsoleFormatter(logging.Formatter):
    """`12:00:00.123 info    control.serve: listening port=7880`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={_console_value(value)}" for key, value in _fields(record).items())
        clock = _timestamp(record.created)[11:-1]
        line = f"{clock} {record.levelname.lower():7} {record.name}: {_message(record)}{fields}"
        if record.exc_info:
            line += "\n" + _redact(self.formatException(record.exc_info), record)
        return line


def _timestamp(created: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))
    return f"{whole}.{int(created % 1 * 1000):03d}Z"


def _message(record: logging.LogRecord) -> str:
    return _redact(record.getMessage(), record)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    private = record.levelno <= logging.DEBUG
    return {
        key: value if isinstance(value, _PLAIN) else _redact(str(value), record)
        for key, value in record.__dict__.items()
        if key not in _STANDARD and (private or key not in PRIVATE_FIELDS)
    }


def _redact(text: str, record: logging.LogRecord) -> str:
    return text if record.levelno <= logging.DEBUG else _MAYBE_ADDRESS.sub(_blank, text)


def _blank(match: re.Match[str]) -> str:
    try:
        ipaddress.ip_address(match[0])
    except ValueError:
        return match[0]
    return "[address]"


def _console_value(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c.isspace() or c in '"=' for c in text) else text


#: Fields that say who or where somebody is.
PRIVATE_FIELDS = frozenset({"address", "remote", "identity", "display_name", "metadata", "attributes", "user_agent"})

_PLAIN = (int, float, bool, type(None))
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
# Anything with three dots or two colons that may be an address; `_blank` decides.
_IPV4 = r"\d{1,3}(?:\.\d{1,3}){3}"
_MAYBE_ADDRESS = re.compile(
    rf"(?<![\w.:])(?:{_IPV4}|(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:{_IPV4}|[0-9A-Fa-f]{{0,4}}))(?!\w)"
)
# Reasons are constants in our code; the bounds keep a mistake there from growing without end.
_MAX_REASON = 100
_MAX_REASONS = 1000
