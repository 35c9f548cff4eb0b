"""The load generator in a call of ours: it joins as clients do, and reports what there is to report, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.loadgen import ROOT, Peer
from tests.support import call_media, certificates
from tests.support.server import Server

SECONDS = 1.0
PEOPLE = 3
CROWD = 100


class Call:
    """`PEOPLE` with camera and microphone, each of whom subscribes to everything, once as a browser would and once as a sink."""

    def __init__(self, generator: Peer, server: Server) -> None:
        self._generator = generator
        self._server = server

    def measure(self, seconds: float = SECONDS) -> dict[str, Any]:
        return self._generator.ask("measure", seconds=seconds, pid=self._server.pid, cores=[0, 1])

    def impair(self, **impairment: float) -> None:
        self._generator.ask("impair", **impairment)


@pytest.fixture(scope="module")
def binary() -> Path:
    """As `make test` builds it beforehand: what is right does not depend on the profile."""
    subprocess.run(["cargo", "build", "--locked", "--quiet", "--workspace", "--bin", "loadgen"], cwd=ROOT, check=True)
    return ROOT / "target" / "debug" / "loadgen"


@pytest.fixture(params=[1, 0], ids=["full", "sinks"], scope="module")
def call(
    request: pytest.FixtureRequest, binary: Path, start_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Call]:
    server: Server = start_server()
    room = f"load-{request.param}"
    subscribe = {"audio": True, "high": 1, "low": "all"}
    people = [
        {"token": server.token(room, f"p{number}"), "audio": True, "video": "vp8", "subscribe": subscribe}
        for number in range(PEOPLE)
    ]
    media = call_media.make(tmp_path_factory.mktemp("media"))
    with Peer(1, str(binary), "call") as generator:
        joined = generator.ask("join", url=server.url, media=str(media), full_every=request.param, participants=people)
        everything = PEOPLE * (PEOPLE - 1)
        assert (joined["failed"], joined["joined"]) == ([], PEOPLE)
        assert joined["subscriptions"] == {"audio": everything, "video": everything}
        yield Call(generator, server)


def test_a_call_loses_nothing_and_has_its_layers(call: Call) -> None:
    call.measure(0.2)  # layers are found meanwhile
    seen = call.measure()
    assert (seen["lost"], seen["astray"], seen["unauthentic"], seen["own_drops"]) == (0, 0, 0, 0)
    assert seen["received"] == seen["expected"] > 0
    assert seen["latency_us"]["count"] > 5
    assert 0 < seen["latency_us"]["p50"] < 5_000
    sent, streams = seen["sent"], seen["streams"]
    assert sent == pytest.approx(SECONDS * PEOPLE * (50 + 30 * (1 + 2 + 5)), rel=0.1)
    # Everybody sees one large and one small.
    assert streams["high_bps"] == pytest.approx(PEOPLE * 1.2e6, rel=0.25)
    assert streams["low_bps"] == pytest.approx(PEOPLE * 0.24e6, rel=0.25)
    assert streams["medium_bps"] < streams["low_bps"] / 2


def test_loss_is_reported_as_it_is(call: Call) -> None:
    call.impair(loss=0.01)
    seen = call.measure()
    call.impair()
    assert 0.005 < seen["lost"] / seen["expected"] < 0.02
    assert seen["own_drops"] == 0


def test_delay_is_reported_as_it_is(call: Call) -> None:
    before = call.measure()["latency_us"]["p50"]
    call.impair(delay_ms=5.0)
    call.measure(0.2)
    after = call.measure()["latency_us"]["p50"]
    call.impair()
    assert after - before == pytest.approx(5_000, rel=0.1)


def test_who_joins_in_a_crowd_misses_nothing_from_the_first_packet_on(
    binary: Path, start_server: Any, tmp_path: Path
) -> None:
    server: Server = start_server()
    speaker = {"token": server.token("crowd", "speaker"), "audio": True, "video": "vp8"}
    watches = {"audio": True, "high": 1, "low": 0}
    crowd = [{"token": server.token("crowd", f"p{number}"), "subscribe": watches} for number in range(CROWD)]
    call = {"url": server.url, "media": str(call_media.make(tmp_path)), "full_every": 0}
    with Peer(1, str(binary), "call") as generator:
        generator.ask("join", participants=[speaker], **call)
        joined = generator.ask("join", participants=crowd, **call)
        assert (joined["failed"], joined["joined"]) == ([], CROWD)
        # Counters are told once a second.
        seen = generator.ask("measure", seconds=1.2, pid=server.pid, cores=[0, 1])
        assert (seen["lost"], seen["own_drops"]) == (0, 0)
        assert server.metrics().get('sfu_packets_dropped_total{reason="no_path"}', 0) == 0


def test_over_tls_the_certificate_must_be_one_that_the_machine_trusts(
    binary: Path, start_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certificates.make(tmp_path, ["127.0.0.1"])
    server: Server = start_server(
        BEEP_MEDIA_HTTP__TLS__CERTIFICATE=str(made.certificate), BEEP_MEDIA_HTTP__TLS__KEY=str(made.key)
    )
    url = f"wss://{server.address}"
    arguments = {"media": str(call_media.make(tmp_path)), "full_every": 1}

    def join() -> dict[str, Any]:
        with Peer(1, str(binary), "call") as generator:
            one = {"token": server.token("tls", "ada"), "audio": True}
            return generator.ask("join", url=url, participants=[one], **arguments)

    refused = join()
    assert refused["joined"] == 0 and "certificate verify failed" in refused["failed"][0]
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    joined = join()
    assert (joined["joined"], joined["failed"]) == (1, [])
