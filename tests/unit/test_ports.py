"""Which media ports `serve` asks for: by option, by default, and beside another server."""

from __future__ import annotations

import pytest

from control import config as configuration
from control.cli import _dev_defaults, _overrides, _parser
from control.config import Config


def _config(*arguments: str) -> Config:
    options = _parser().parse_args(["serve", *arguments])
    defaults = _dev_defaults(options) if options.dev else None
    return configuration.load(None, {}, _overrides(options), defaults=defaults)


@pytest.mark.parametrize(
    ("arguments", "port"),
    [
        ("", 7881),
        ("--tcp-port 9000", 9000),
        ("--tcp-port 0", 0),
        ("--tcp-port off", None),
        ("--dev", 7881),
        ("--dev --udp-port 9000", 0),
        ("--dev --udp-port 9000 --tcp-port 9001", 9001),
    ],
)
def test_the_tcp_port_is_the_one_asked_for(arguments: str, port: int | None) -> None:
    assert _config(*arguments.split()).rtc.tcp_port == port


def test_the_tcp_port_may_be_null_in_the_environment() -> None:
    assert configuration.load(None, {"BEEP_MEDIA_RTC__TCP_PORT": "null"}).rtc.tcp_port is None


def test_a_port_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _config("--tcp-port", "none")
    assert "'none' is not a port (0 to 65535)" in capsys.readouterr().err
