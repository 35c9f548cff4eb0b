"""The proxy with real sockets: between a client and an echo, with what its profile says."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.impair.__main__ import _parser, profile_of
from tests.impair.flow import CLEAN, Profile
from tests.impair.link import LinkConfig, RateLimit
from tests.impair.loss import GilbertElliott, RandomLoss
from tests.impair.proxy import Address, running
from tests.support.server import ROOT


@pytest.fixture
def echo() -> Iterator[Address]:
    server = _socket(("127.0.0.1", 0))
    stopped = threading.Event()

    def answer() -> None:
        server.settimeout(0.05)
        while not stopped.is_set():
            try:
                datagram, address = server.recvfrom(2_048)
            except TimeoutError:
                continue
            server.sendto(datagram, address)

    thread = threading.Thread(target=answer)
    thread.start()
    yield server.getsockname()
    stopped.set()
    thread.join()
    server.close()


def _socket(bound: Address | None = None, towards: int | None = None) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(bound or ("127.0.0.1", 0))
    made.settimeout(5)
    if towards is not None:
        made.connect(("127.0.0.1", towards))
    return made


def _numbers(client: socket.socket, count: int, patience_s: float = 0.3) -> list[int]:
    """Sends so many, slowly; gives those that came back."""
    came = []
    for number in range(count):
        client.send(bytes([number]))
        time.sleep(0.001)
    client.settimeout(patience_s)
    try:
        while True:
            came.append(client.recv(100)[0])
    except TimeoutError:
        return came


def test_each_client_has_its_own_address_at_the_server_and_gets_its_own_answers(echo: Address) -> None:
    with running(echo, seed=1) as proxy:
        clients = [_socket(towards=proxy.port) for _ in range(3)]
        for number, client in enumerate(clients):
            client.send(bytes([number]))
        assert [client.recv(10) for client in clients] == [b"\0", b"\1", b"\2"]
        assert proxy.ask(lambda p: [(f.up.tally.datagrams, f.down.tally.datagrams) for f in p.flows]) == [(1, 1)] * 3
        for client in clients:
            client.close()


def test_the_same_seed_loses_the_same_datagrams(echo: Address) -> None:
    def came(seed: int) -> list[int]:
        with running(echo, Profile(up=LinkConfig(RandomLoss(0.3))), seed=seed) as proxy:
            client = _socket(towards=proxy.port)
            numbers = _numbers(client, 100)
            client.close()
            return numbers

    first = came(11)
    assert 50 < len(first) < 90
    assert came(11) == first
    assert came(12) != first


def test_delay_is_as_long_as_it_should_be(echo: Address) -> None:
    link = LinkConfig(delay_s=0.05)
    with running(echo, Profile.both(link), seed=1) as proxy:
        client = _socket(towards=proxy.port)
        for _ in range(5):
            started = time.monotonic()
            client.send(b"x")
            client.recv(10)
            assert time.monotonic() - started >= 0.099
        client.close()


def test_the_network_changes_while_clients_are_there(echo: Address) -> None:
    gone = Profile.both(LinkConfig(RandomLoss(1)))
    with running(echo, seed=1) as proxy:
        client, newcomer = (_socket(towards=proxy.port) for _ in range(2))
        assert _numbers(client, 5) == [0, 1, 2, 3, 4]
        proxy.welcome(gone)
        assert _numbers(newcomer, 5) == []
        assert _numbers(client, 5) == [0, 1, 2, 3, 4]
        proxy.configure(gone)
        assert _numbers(client, 5) == []
        proxy.configure(CLEAN)
        assert _numbers(newcomer, 5) == [0, 1, 2, 3, 4]
        for each in (client, newcomer):
            each.close()


def test_a_server_that_is_gone_does_not_end_the_proxy(echo: Address) -> None:
    nobody = _socket()
    port = nobody.getsockname()[1]
    nobody.close()
    with running(("127.0.0.1", port), seed=1) as proxy:
        client = _socket(towards=proxy.port)
        assert _numbers(client, 5) == []
        assert proxy.ask(lambda p: p.flows[0].up.tally.datagrams) == 5
        client.close()


def test_a_port_in_use_is_an_error(echo: Address) -> None:
    with pytest.raises(OSError, match="in use"), running(echo, seed=1, listen=echo):
        pass


def test_the_command_line_says_a_profile() -> None:
    options = _parser().parse_args(
        [
            "--loss",
            "2",
            "--burst",
            "5",
            "--delay",
            "30",
            "--jitter",
            "40",
            "--rate",
            "1000",
            "--queue",
            "32",
            "--direction",
            "down",
        ]
    )
    profile = profile_of(options)
    assert profile.up == LinkConfig()
    assert profile.down == LinkConfig(
        GilbertElliott.bursts(0.02, 5), 0.03, 0.04, reorder_by_s=0.01, rate=RateLimit(1e6, 32_000)
    )


@pytest.mark.parametrize("wrong", ["--loss 101", "--burst 0.5", "--server nowhere", "--rate -1", "--delay -5"])
def test_a_wrong_option_is_named_and_ends_with_status_2(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.impair.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main(wrong.split())
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_command_serves_until_it_is_interrupted_and_says_what_it_did(echo: Address) -> None:
    probe = _socket()
    port = probe.getsockname()[1]
    probe.close()
    command = [
        sys.executable,
        "-m",
        "tests.impair",
        "--server",
        f"127.0.0.1:{echo[1]}",
        "--listen",
        f"127.0.0.1:{port}",
    ]
    with subprocess.Popen(
        [*command, "--loss", "100", "--direction", "down"], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"seed 1" in process.stdout.readline()
        client = _socket(towards=port)
        assert _numbers(client, 3) == []
        client.close()
        process.terminate()
        said = process.stdout.read().decode()
        assert process.wait(10) == 0
    assert said == (
        "client 0: up 3 datagrams, 0 lost, 0 over the queue (0.00%); down 3 datagrams, 3 lost, 0 over the queue (100.00%)\n"
    )
