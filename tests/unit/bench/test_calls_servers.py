"""What servers are told, and what is said of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from bench.calls import run
from bench.calls.servers import SERVERS, Janus, LiveKit, LiveKitBatch, Ours
from control import config as configuration


def test_every_server_has_ports_of_its_own() -> None:
    assert sorted(kind.http for kind in SERVERS.values()) == [7880, 7890, 7900, 7910]
    assert LiveKitBatch(Path("/d")).url == "ws://10.77.0.1:7900"


def test_our_configuration_can_be_served_with(tmp_path: Path) -> None:
    server = Ours(tmp_path)
    server.directory.mkdir()
    config = configuration.load(Path(server.config_file()), {})
    configuration.check_serving(config, dev=False)
    assert config.rtc.shard_count == 1


def test_batched_output_is_the_only_difference_between_two_livekits() -> None:
    default, batched = (kind(Path("/d")).config()["rtc"] for kind in (LiveKit, LiveKitBatch))
    assert batched.pop("batch_io") == {"batch_size": 128, "max_flush_interval": "2ms"}
    assert {**batched, "tcp_port": 0} == {**default, "tcp_port": 0}


def test_a_report_does_not_say_where_things_are_on_this_machine(tmp_path: Path) -> None:
    server = LiveKit(tmp_path)
    server.directory.mkdir()
    assert server.public_command() == ["bench/out/livekit-server", "--config", "DIRECTORY/livekit/config.yaml"]
    assert yaml.safe_load((tmp_path / "livekit" / "config.yaml").read_text())["port"] == 7890
    ours = Ours(tmp_path)
    ours.directory.mkdir()
    assert ours.public_command()[0] == "python" and sys.executable not in ours.public_command()


def test_a_server_that_is_not_built_comes_with_the_line_that_builds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.calls.servers.LIVEKIT", tmp_path / "livekit-server")
    assert run.main(["--servers", "livekit,ours"]) == 2
    assert "python -m bench calls --peers" in capsys.readouterr().out


def test_janus_is_told_of_one_socket_and_nothing_else(tmp_path: Path) -> None:
    server = Janus(tmp_path)
    server.directory.mkdir()
    assert server.public_command()[:3] == ["janus", "--configs-folder", "DIRECTORY/janus/configuration"]
    assert 'ws_ip = "10.77.0.1"' in (server.directory / "configuration" / "janus.transport.websockets.jcfg").read_text()
