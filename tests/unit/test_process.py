"""The process: what it prints, what it refuses, how it ends. Real sockets and signals, a fake engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest
from livekit.protocol import rtc

from control.addresses import local_addresses
from control.config import DEV_KEYS
from control.tokens import verify
from scripts.generate import ROOT

NODE = str(Path(__file__).with_name("fake_node.py"))


class Process:
    """A running `beep-media`: its lines on stdout until now and, at the end, what it said on stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    @property
    def origin(self) -> str:
        return self.lines[0].removeprefix("ready ").removesuffix("/meet")

    async def read_lines(self, count: int) -> None:
        assert self.process.stdout is not None
        for _ in range(count):
            line = await asyncio.wait_for(self.process.stdout.readline(), 15)
            self.lines.append(line.decode().rstrip("\n"))

    async def end(self, number: int | None = signal.SIGTERM) -> tuple[int, str, float]:
        """(status, stderr, seconds it took)."""
        started = time.monotonic()
        if number is not None:
            self.process.send_signal(number)
        _, errors = await asyncio.wait_for(self.process.communicate(), 20)
        return self.process.returncode or 0, errors.decode(), time.monotonic() - started


@contextlib.asynccontextmanager
async def beep_media(
    *arguments: str, lines: int = 3, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        NODE,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **(environment or {})},
    )
    running = Process(process)
    try:
        await running.read_lines(lines)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """(status, stdout, stderr) of a call that ends by itself."""
    async with beep_media(*arguments, lines=0, environment=environment) as process:
        out, errors = await asyncio.wait_for(process.process.communicate(), 20)
        return process.process.returncode or 0, out.decode(), errors.decode()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


# -------------------------------------------------------------------------------------------------------- serve


async def test_dev_prints_ready_and_two_links_with_tokens_that_work() -> None:
    async with beep_media("serve", "--dev", "--port", "0") as process:
        assert re.fullmatch(r"ready http://127\.0\.0\.1:\d+/meet", process.lines[0])
        for line, identity in zip(process.lines[1:], ("alice", "bob"), strict=True):
            link = re.fullmatch(re.escape(f"{identity}: {process.origin}/meet?room=demo&token=") + r"(\S+)", line)
            assert link is not None
            claims = verify(link[1], DEV_KEYS, time.time())
            assert (claims.identity, claims.video.room, claims.video.room_join) == (identity, "demo", True)


async def test_the_limit_of_descriptors_is_raised() -> None:
    async with beep_media("serve", "--dev", "--port", "0") as process:
        limits = Path(f"/proc/{process.process.pid}/limits").read_text()
        (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
        soft, hard = line.split()[3:5]
        assert soft == hard or int(soft) >= 65_536


async def test_dev_answers_probes_and_metrics_on_its_public_port() -> None:
    async with beep_media("serve", "--dev", "--port", "0") as process:
        assert await get(process.origin + "/") == (200, "OK")
        assert await get(process.origin + "/livez") == (200, "OK")
        assert await get(process.origin + "/readyz") == (200, "OK")
        status, text = await get(process.origin + "/metrics")
        assert status == 200
        assert 'sfu_node_state{state="serving"} 1.0' in text


async def test_sigterm_ends_it_within_the_deadline_with_status_0() -> None:
    async with beep_media("serve", "--dev", "--port", "0") as process:
        status, _, took = await process.end()
        assert status == 0
        assert took < 5


async def test_sigterm_tells_clients_to_leave_before_it_ends() -> None:
    async with beep_media("serve", "--dev", "--port", "0") as process:
        token = process.lines[1].rpartition("token=")[2]
        url = f"{process.origin}/rtc?access_token={token}&protocol=16&auto_subscribe=1"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            assert rtc.SignalResponse.FromString(await socket.receive_bytes()).HasField("join")
            ending = asyncio.create_task(process.end())
            kinds = [rtc.SignalResponse.FromString(message.data).WhichOneof("message") async for message in socket]
        status, errors, took = await ending
    assert kinds[-1] == "leave"
    assert (status, "Traceback" in errors) == (0, False)
    assert took < 5


async def test_sigint_ends_it_too() -> None:
    async with beep_media("serve", "--dev", "--port", "0") as process:
        assert (await process.end(signal.SIGINT))[0] == 0


async def test_a_drain_that_hangs_is_cut_off_at_the_deadline() -> None:
    environment = {"FAKE_NODE_HANG": "1", "BEEP_MEDIA_DRAIN_FOR_S": "0.5"}
    async with beep_media("serve", "--dev", "--port", "0", environment=environment) as process:
        status, errors, took = await process.end()
        assert status == 0
        assert 0.4 < took < 3
        assert "drain deadline" in errors


async def test_a_second_signal_at_once_is_no_second_thought() -> None:
    environment = {"FAKE_NODE_HANG": "1", "BEEP_MEDIA_DRAIN_FOR_S": "0.5"}
    async with beep_media("serve", "--dev", "--port", "0", environment=environment) as process:
        process.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        assert (await process.end())[0] == 0


async def test_a_second_signal_later_ends_it_at_once() -> None:
    environment = {"FAKE_NODE_HANG": "1", "BEEP_MEDIA_DRAIN_FOR_S": "60"}
    async with beep_media("serve", "--dev", "--port", "0", environment=environment) as process:
        process.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(1.3)
        status, _, took = await process.end()
        assert status == 1
        assert took < 2


async def test_a_dead_shard_ends_it_with_status_1() -> None:
    async with beep_media("serve", "--dev", "--port", "0") as process:
        with contextlib.suppress(aiohttp.ClientError):
            await get(process.origin + "/kill-shard")
        status, errors, _ = await process.end(None)
        assert status == 1
        assert "a shard failed" in errors


async def test_a_taken_port_is_said_and_ends_with_status_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, errors = await run("serve", "--dev", "--port", str(port))
    assert (status, out) == (1, "")
    assert f"127.0.0.1:{port} cannot be bound" in errors
    assert "--port" in errors.splitlines()[-1]
    assert "Traceback" not in errors


async def test_other_machines_are_served_over_self_signed_tls() -> None:
    host = next(
        (str(address) for address in local_addresses() if address.version == 4 and not address.is_loopback), None
    )
    assert host is not None, "this test needs an IPv4 address besides loopback"
    async with beep_media("serve", "--dev", "--host", host, "--port", "0") as process:
        assert process.origin.startswith(f"https://{host}:")
        certificate = await asyncio.to_thread(
            ssl.get_server_certificate, (host, int(process.origin.rpartition(":")[2]))
        )
        trusting = ssl.create_default_context(cadata=certificate)
        async with aiohttp.ClientSession() as session, session.get(process.origin, ssl=trusting) as response:
            assert (response.status, await response.text()) == (200, "OK")


async def test_ipv6_loopback_is_loopback() -> None:
    async with beep_media("serve", "--dev", "--host", "::1", "--port", "0") as process:
        assert process.origin.startswith("http://[::1]:")
        assert await get(process.origin + "/") == (200, "OK")


async def test_a_config_file_is_served_with_admin_on_its_own_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        admin = free.getsockname()[1]
    path = tmp_path / "config.yaml"
    path.write_text(
        f"http: {{listen: '127.0.0.1:0'}}\nadmin: {{listen: '127.0.0.1:{admin}'}}\nkeys: {{APIabc: {'d' * 32}}}\n"
    )
    async with beep_media("serve", "--config", str(path), lines=1) as process:
        assert await get(process.origin + "/") == (200, "OK")
        assert (await get(process.origin + "/metrics"))[0] == 404
        assert await get(f"http://127.0.0.1:{admin}/readyz") == (200, "OK")
        status, errors, _ = await process.end()
    assert status == 0
    assert [json.loads(line)["event"] for line in errors.splitlines()][-1] == "stopped"


async def test_development_keys_are_refused_for_other_machines() -> None:
    status, out, errors = await run("serve", environment={"BEEP_MEDIA_KEYS": "{devkey: secret}"})
    assert (status, out) == (2, "")
    assert "development key" in errors


async def test_no_address_or_identity_reaches_the_log_above_debug() -> None:
    environment = {"BEEP_MEDIA_LOG__FORMAT": "json"}
    async with beep_media("serve", "--dev", "--port", "0", environment=environment) as process:
        assert (await get(process.origin + "/raise"))[0] == 500
        assert (await get(process.origin + "/nowhere"))[0] == 404
        _, errors, _ = await process.end()
    assert "RuntimeError" in errors
    for secret in ("127.0.0.1", "::1", "bob", *(str(address) for address in local_addresses())):
        assert secret not in errors


async def test_a_hundred_refusals_make_one_line_per_second() -> None:
    async with beep_media("serve", "--dev", "--port", "0") as process:
        started = time.monotonic()
        async with aiohttp.ClientSession() as session:
            for _ in range(100):
                async with session.get(process.origin + "/nowhere") as response:
                    assert response.status == 404
        took = time.monotonic() - started
        _, errors, _ = await process.end()
    assert 1 <= errors.count("request refused") <= 1 + took


# ------------------------------------------------------------------------------------------------- other commands


async def test_config_check_says_fine_or_what_is_wrong(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(f"keys: {{APIabc: {'d' * 32}}}\n")
    bad.write_text("rtc: {udp_port: many}\nhtttp: {}\n")
    assert await run("config", "check", str(good)) == (0, f"{good}: fine\n", "")
    status, out, errors = await run("config", "check", str(bad))
    assert (status, out) == (2, "")
    assert sorted(line.split(":")[0] for line in errors.splitlines()) == ["htttp", "rtc.udp_port"]
    bad.write_text("keys: {own: key}\nhttp: {tls: {certificate: /none.pem, key: /none.key}}\n")
    status, out, errors = await run("config", "check", str(bad))
    assert (status, out) == (2, "")
    assert errors.startswith("http.tls: /none.pem and /none.key cannot be used")


async def test_token_prints_the_token_and_nothing_else() -> None:
    status, out, errors = await run(
        *("token", "--room", "r", "--identity", "i", "--name", "N", "--metadata", "m", "--ttl", "10m"),
        *("--grants", '{"canPublish": false}'),
    )
    assert (status, errors) == (0, "")
    claims = verify(out.removesuffix("\n"), DEV_KEYS, time.time())
    assert (claims.identity, claims.name, claims.metadata) == ("i", "N", "m")
    assert (claims.video.room, claims.video.room_join, claims.video.can_publish) == ("r", True, False)
    assert 590 < claims.expires_at - time.time() <= 600


async def test_token_uses_the_configured_key() -> None:
    environment = {"BEEP_MEDIA_KEYS": "{APIabc: ours}"}
    _, out, _ = await run("token", "--room", "r", "--identity", "i", environment=environment)
    assert verify(out.strip(), {"APIabc": "ours"}, time.time()).api_key == "APIabc"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--grants", "no"], "--grants: is not JSON"),
        (["--grants", "[]"], "--grants: should be a JSON object"),
        (["--grants", '{"canPublsh": true}'], "there is no grant 'canPublsh'"),
        (["--grants", '{"canPublish": 1}'], "--grants: canPublish: Input should be a valid boolean.\n"),
        (["--ttl", "soon"], "'soon' is not a time"),
        (["--key", "nobody"], "--key nobody: there is no such API key"),
    ],
)
async def test_token_refuses_what_it_does_not_understand(arguments: list[str], sentence: str) -> None:
    status, out, errors = await run("token", "--room", "r", "--identity", "i", *arguments)
    assert (status, out) == (2, "")
    assert sentence in errors


async def test_version_is_one_line() -> None:
    status, out, _ = await run("--version")
    assert status == 0
    assert re.fullmatch(r"beep-media \S+\n", out)
