"""`beep-media load-test`: the options, and what is missing. The work is the bench's (bench/calls/load_test.py)."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path

from control.arguments import duration_s
from control.config import DEV_KEYS
from control.errors import ConfigError, ControlError


class LoadTestError(ControlError):
    """The text says what could not be done."""

    code = "load_test_failed"


def add(parser: argparse.ArgumentParser) -> None:
    ((key, secret),) = DEV_KEYS.items()
    parser.add_argument("url", metavar="URL", help="of a server that speaks LiveKit's signalling: ws://127.0.0.1:7880")
    parser.add_argument("--publishers", type=_count, default=3, metavar="N", help="who send camera and microphone (3)")
    parser.add_argument("--subscribers", type=_count, default=10, metavar="N", help="who only watch (10)")
    parser.add_argument(
        "--layout",
        choices=["speaker", "grid"],
        default="speaker",
        help="what they watch: one large and five small (the default), or everybody small",
    )
    parser.add_argument("--codec", choices=["vp8", "h264", "vp9", "av1"], default="vp8", help="of the cameras (vp8)")
    parser.add_argument("--duration", type=duration_s, default=30.0, metavar="TIME", help="30s (the default), 10m, 2h")
    parser.add_argument(
        "--join-rate", type=float, default=10.0, metavar="N", help="joins a second (10); 0: as fast as they can"
    )
    parser.add_argument("--api-key", default=key, metavar="NAME", help=f"that tokens are signed for ({key})")
    parser.add_argument("--api-secret", default=secret, metavar="SECRET", help=f"that they are signed with ({secret})")
    parser.add_argument("--room", default="", metavar="NAME", help="a new one by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured to FILE")


def run(options: argparse.Namespace) -> int:
    """Raises `ControlError`; the status is 1 when somebody could not join."""
    url = _websocket(options.url)
    if options.publishers + options.subscribers == 0:
        raise ConfigError("Nobody would join: give --publishers or --subscribers.")
    try:
        from bench import loadgen
        from bench.calls import load_test
        from bench.calls.generator import Target
    except ImportError as error:
        raise LoadTestError(f"load-test needs more: pip install 'beep-media[bench]' ({error}).") from error
    binary = loadgen.find()
    if binary is None:
        raise LoadTestError(
            "The load generator is not there. Build it in the source tree: cargo build --locked --release --package loadgen"
        )
    test = load_test.LoadTest(
        publishers=options.publishers,
        subscribers=options.subscribers,
        layout=options.layout,
        codec=options.codec,
        duration_s=options.duration,
        room=options.room or f"load-test-{time.time():.0f}",
        joins_per_s=options.join_rate,
    )
    try:
        result = load_test.run(Target(url, options.api_key, options.api_secret), test, binary)
    except loadgen.PeerError as error:
        raise LoadTestError(f"The load generator gave up: {error}.") from error
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(load_test.summary(result))
    return 1 if result["joined"]["failed"] else 0


def _websocket(url: str) -> str:
    found = re.fullmatch(r"(https?|wss?)://(\S+?)/*", url)
    if found is None:
        raise ConfigError(f"'{url}' is not the address of a server; write ws://127.0.0.1:7880 or wss://example.org.")
    scheme = {"http": "ws", "https": "wss"}.get(found[1], found[1])
    return f"{scheme}://{found[2]}"


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of people")
    return int(text)
