"""`beep-media load-test`, with a generator that only says that it did."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench import loadgen
from bench.calls import load_test, media
from control.cli import main
from control.tokens import verify

FAKE = Path(__file__).with_name("fake_loadgen.py")


class Asked:
    """What the generator was asked."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def only(self, do: str) -> dict[str, Any]:
        (found,) = [each for each in self.all() if each["do"] == do]
        return found


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    binary = tmp_path / "loadgen"
    # -P: a folder of tests with a numbers.py is no place to import from.
    binary.write_text(f'#!/bin/sh\nexec {sys.executable} -P {FAKE} "$@"\n')
    binary.chmod(0o755)
    monkeypatch.setattr(loadgen, "find", lambda: binary)
    monkeypatch.setattr(media, "make", lambda directory: directory)
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    return Asked(tmp_path / "asked")


def test_publishers_send_and_subscribers_watch_as_the_layout_says(asked: Asked) -> None:
    arguments = ["--publishers", "2", "--subscribers", "1", "--codec", "h264", "--duration", "2m", "--room", "big"]
    assert main(["load-test", "https://example.org/", *arguments, "--api-key", "k", "--api-secret", "s" * 32]) == 0
    join = asked.only("join")
    assert join["url"] == "wss://example.org"
    assert [each["video"] for each in join["participants"]] == ["h264", "h264", None]
    assert join["participants"][0]["subscribe"] is None
    assert join["participants"][2]["subscribe"] == {"audio": True, "high": 1, "low": 5}
    claims = [verify(each["token"], {"k": "s" * 32}, time.time()) for each in join["participants"]]
    assert [each.identity for each in claims] == ["load-00000", "load-00001", "load-00002"]
    assert {each.video.room for each in claims} == {"big"}
    assert asked.only("measure")["seconds"] == 120
    assert asked.all()[-1] == {"do": "leave", "count": 3}


def test_a_grid_shows_everybody_small(asked: Asked) -> None:
    assert main(["load-test", "ws://127.0.0.1:7880", "--layout", "grid"]) == 0
    participants = asked.only("join")["participants"]
    assert len(participants) == 13
    assert participants[-1]["subscribe"] == {"audio": True, "high": 0, "low": "all"}


def test_the_summary_and_the_file_say_how_it_went(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    assert main(["load-test", "ws://127.0.0.1:7880", "--json", str(file)]) == 0
    said = capsys.readouterr()
    for line in (
        "joined         13 of 13, 25.0 a second",
        "received       100000 packets/s, 720.0 Mbit/s",
        "lost           0 (0.000%)",
        "latency        p50 0.20 ms, p99 0.90 ms, p99.9 1.50 ms, max 4.00 ms (one way, through the server)",
    ):
        assert f"{line}\n" in said.out
    assert "13 participants join\nmeasuring\n" in said.err
    result = json.loads(file.read_text())
    assert result["measured"]["received"] == 100_000
    assert "secret" not in file.read_text()


def test_whoever_cannot_join_is_told_and_counts(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REFUSED", "401 Unauthorized")
    assert main(["load-test", "ws://127.0.0.1:7880"]) == 1
    assert "failed         13 times: 401 Unauthorized\n" in capsys.readouterr().out


def test_a_generator_that_gives_up_says_why(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ERROR", "no such codec")
    assert main(["load-test", "ws://127.0.0.1:7880"]) == 1
    assert "join: no such codec" in capsys.readouterr().err


def test_without_the_binary_there_is_the_line_that_builds_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loadgen, "find", lambda: None)
    assert main(["load-test", "ws://127.0.0.1:7880"]) == 1
    assert "cargo build --locked --release --package loadgen" in capsys.readouterr().err


def test_what_is_no_server_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load-test", "127.0.0.1"]) == 2
    assert "'127.0.0.1' is not the address of a server" in capsys.readouterr().err


def test_a_call_without_anybody_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load-test", "ws://h", "--publishers", "0", "--subscribers", "0"]) == 2
    assert "Nobody would join" in capsys.readouterr().err


def test_the_binary_of_the_source_tree_comes_before_that_of_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, packaged = tmp_path / "built", tmp_path / "packaged"
    monkeypatch.setattr(loadgen, "LOADGEN", built)
    monkeypatch.setattr(loadgen, "PACKAGED", packaged)
    assert loadgen.find() is None
    packaged.touch()
    assert loadgen.find() == packaged
    built.touch()
    assert loadgen.find() == built


def test_media_is_kept_with_the_caches_where_there_is_no_source_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loadgen, "LOADGEN", tmp_path / "none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert load_test._media_directory() == tmp_path / "beep-media" / "media"
