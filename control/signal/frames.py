"""WebSocket frames to signal messages and back: binary protobuf, or protojson in text frames. No state but one cached frame.

A client that sends text is answered in text until it sends a binary frame again.
"""

from __future__ import annotations

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from control.errors import ControlError


class FrameError(ControlError):
    """A frame that is not a `SignalRequest`."""

    code = "bad_frame"


def decode(frame: bytes | str) -> rtc.SignalRequest:
    """Raises `FrameError`. A message of a newer protocol decodes to one without a `message`."""
    request = rtc.SignalRequest()
    try:
        if isinstance(frame, str):
            json_format.Parse(frame, request, ignore_unknown_fields=True, max_recursion_depth=_MAX_JSON_DEPTH)
        else:
            request.ParseFromString(frame)
    except (DecodeError, json_format.ParseError, RecursionError, ValueError) as error:
        raise FrameError("the frame is neither a protobuf nor a protojson SignalRequest") from error
    return request


class Encoder:
    """Encodes messages; a broadcast hands the same object to one session after the other and is encoded once per form."""

    def __init__(self) -> None:
        self._last: rtc.SignalResponse | None = None
        self._binary: bytes | None = None
        self._text: str | None = None

    def encode(self, message: rtc.SignalResponse, *, text: bool) -> bytes | str:
        if message is not self._last:
            self._last, self._binary, self._text = message, None, None
        if text:
            if self._text is None:
                self._text = json_format.MessageToJson(message, indent=None)
            return self._text
        if self._binary is None:
            self._binary = message.SerializeToString()
        return self._binary


# A SignalRequest is six messages deep at most; the parser recurses per level.
_MAX_JSON_DEPTH = 16
#: Largest frame in either direction.
MAX_FRAME_BYTES = 2 << 20
