"""Servers of calls side by side: one small class each, which starts its server on core 0 and tells where it is.

Each runs as it comes: its own defaults, one API key, and addresses and ports so that all of them fit into one namespace.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from bench.loadgen import ROOT
from bench.namespace import SERVER
from bench.process import START_TIMEOUT_S, ServerProcess, end_with_bench, own_version

KEY, SECRET = "bench", "a secret of the bench that is long enough"
BRIDGE_CORE = 1
LIVEKIT = ROOT / "bench" / "out" / "livekit-server"


class CallServer(ServerProcess):
    """A server that rooms are joined at. `http` is its port; the three behind it are its own, too."""

    http: ClassVar[int]

    @property
    def url(self) -> str:
        return f"ws://{SERVER}:{self.http}"

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """As it stands in its configuration file."""

    @abstractmethod
    def find_version(self) -> str: ...

    def wait_until_ready(self) -> None:
        self.version = self.find_version()
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check_running()
            if _answers(f"http://{SERVER}:{self.http}/"):
                return
            time.sleep(0.05)
        raise RuntimeError(f"no answer to HTTP within {START_TIMEOUT_S} s")

    def config_file(self) -> str:
        file = self.directory / "config.yaml"
        file.write_text(yaml.safe_dump(self.config(), sort_keys=False))
        return str(file)


class Ours(CallServer):
    """Beep Media with one packet thread, so that it has one core like everybody else."""

    name = "ours"
    http = 7880

    @property
    def command(self) -> Sequence[str]:
        return (sys.executable, "-m", "control.cli", "serve", "--config", self.config_file())

    def config(self) -> dict[str, Any]:
        return {
            "http": {"listen": f"{SERVER}:{self.http}"},
            "keys": {KEY: SECRET},
            "rtc": {"bind": [SERVER], "udp_port": self.http + 2, "tcp_port": self.http + 1, "shards": 1},
            "turn": {"listen": []},
        }

    def find_version(self) -> str:
        return own_version()


class LiveKit(CallServer):
    """LiveKit's server with its defaults, unmodified."""

    name = "livekit"
    http = 7890
    #: What is not default, beside addresses.
    rtc: ClassVar[dict[str, Any]] = {}

    @classmethod
    def missing(cls) -> str | None:
        return (
            None if LIVEKIT.exists() else "python -m bench calls --peers  (builds it; needs Go, see go.dev/doc/install)"
        )

    @property
    def command(self) -> Sequence[str]:
        return (str(LIVEKIT), "--config", self.config_file())

    def config(self) -> dict[str, Any]:
        return {
            "port": self.http,
            "bind_addresses": [SERVER],
            "keys": {KEY: SECRET},
            "rtc": {"tcp_port": self.http + 1, **self.rtc},
        }

    def find_version(self) -> str:
        said = subprocess.run([LIVEKIT, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"\d+\.\d+\.\d+\S*", said)
        return found[0] if found else ""


class LiveKitBatch(LiveKit):
    """With batched output, as its sample configuration suggests."""

    name = "livekit-batch"
    http = 7900
    rtc: ClassVar[dict[str, Any]] = {"batch_io": {"batch_size": 128, "max_flush_interval": "2ms"}}


class Janus(CallServer):
    """Debian's, with VideoRoom and what it does by default; LiveKit's signalling comes from a bridge on the generator's core."""

    name = "janus"
    http = 7910

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("janus") else "apt-get install --yes janus"

    @property
    def command(self) -> Sequence[str]:
        folder = self.directory / "configuration"
        folder.mkdir(exist_ok=True)
        for name, text in self.config().items():
            (folder / name).write_text(text)
        return ("janus", "--configs-folder", str(folder), "--log-file", str(self.directory / "log"), "--disable-stdout")

    def config(self) -> dict[str, Any]:
        # Some of what is not configured ends the process instead of itself.
        unused = {kind: _names_of_files(kind) - {used} for kind, used in _JANUS_PARTS.items()}
        parts = [f'general: {{\n\tinterface = "{SERVER}"\n}}']
        parts += [f'{kind}: {{\n\tdisable = "{",".join(sorted(names))}"\n}}' for kind, names in unused.items()]
        socket = f'\tws = true\n\tws_ip = "{SERVER}"\n\tws_port = {self.http + 1}'
        return {
            "janus.jcfg": "\n".join(parts) + "\n",
            "janus.transport.websockets.jcfg": f"general: {{\n{socket}\n}}\n",
            "janus.plugin.videoroom.jcfg": "general: {\n}\n",
        }

    def find_version(self) -> str:
        said = subprocess.run(["janus", "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"\((\d+\.\d+\.\d+)\)", said)
        return found[1] if found else ""

    def wait_until_ready(self) -> None:
        bridge = (sys.executable, "-m", "bench.calls.bridge", f"{SERVER}:{self.http}", f"ws://{SERVER}:{self.http + 1}")
        self._bridge = subprocess.Popen([*end_with_bench(BRIDGE_CORE), *bridge], cwd=ROOT)
        super().wait_until_ready()

    def _stop(self) -> None:
        self._bridge.terminate()
        self._bridge.wait()
        super()._stop()


SERVERS: dict[str, type[CallServer]] = {each.name: each for each in (LiveKit, LiveKitBatch, Janus, Ours)}


def _names_of_files(kind: str) -> set[str]:
    """Of Janus's parts of a kind, wherever Debian has this machine's libraries."""
    return {file.name for folder in Path("/usr/lib").glob(f"*/janus/{kind}") for file in folder.glob("*.so")}


#: What of each kind is used.
_JANUS_PARTS = {"plugins": "libjanus_videoroom.so", "transports": "libjanus_websockets.so", "loggers": ""}


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
