"""The process around a node: its signals, its limits, the lines it prints, its exit status."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable

from control.config import DEV_KEYS, Config
from control.errors import ControlError, StartError
from control.node import EngineFactory, Node, NodeEngine, Role, SignalFactory, SignalParts, SignalServer
from control.tokens import Grants, mint
from sfu.seam import EngineConfig

_log = logging.getLogger(__name__)


async def run(
    config: Config,
    *,
    dev: bool,
    role: Role = "all",
    reload: Callable[[], Config] | None = None,
    engine_factory: EngineFactory | None = None,
    signal_factory: SignalFactory | None = None,
) -> int:
    """Serves until SIGINT or SIGTERM; another one a second later ends the process at once. Returns the exit status.

    SIGHUP takes a new configuration from `reload`; without one it ends the process, as it does by default.
    """
    node = Node(
        config,
        dev=dev,
        role=role,
        engine_factory=engine_factory or _native_engine,
        signal_factory=signal_factory or _signal_server,
    )
    loop = asyncio.get_running_loop()
    signals = _Signals(node)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.handle)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, _reload, node, reload)
    try:
        await node.start()
    except ControlError:
        await node.close()
        raise
    _raise_descriptor_limit()
    _settle_memory()
    _announce(node, dev=dev)
    served = await node.wait()
    status = 0 if served else 1
    deadline = threading.Timer(config.drain_for_s, _give_up, [status])
    deadline.daemon = True
    deadline.start()
    await node.close()
    deadline.cancel()
    return status


def _raise_descriptor_limit() -> None:
    """Every WebSocket and every TCP connection takes a descriptor; the usual soft limit of 1024 is for programs that use `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _settle_memory() -> None:
    """Takes what is loaded so far out of the garbage collector's hands: full collections become short, and are made more often.

    A participant who left is a few hundred objects in cycles. With the defaults, hundreds of them wait for a collection.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # so that the collector's idea of what is long-lived starts from nothing
    gc.set_threshold(*_GC_THRESHOLDS)


class _Signals:
    """The first signal drains, a later one ends. Wrappers such as timeout(1) send the first one twice; that is no second thought."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._first: float | None = None

    def handle(self) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
            self._node.stop()
        elif now - self._first >= _SECOND_THOUGHT_S:
            os._exit(1)


def _give_up(status: int) -> None:
    """Ends the process although something hangs: an orchestrator would otherwise kill it without a word."""
    _log.warning("the drain deadline passed; ending now")
    logging.shutdown()
    os._exit(status)


def _reload(node: Node, load: Callable[[], Config]) -> None:
    """A configuration that cannot be used changes nothing."""
    try:
        node.reload(load())
    except ControlError as error:
        node.count_reload("failed")
        for sentence in str(error).splitlines():
            _log.error("the new configuration is not used", extra={"detail": sentence})
    else:
        node.count_reload("done")


def _announce(node: Node, *, dev: bool) -> None:
    """The lines on stdout that people and scripts wait for."""
    origin = node.origin
    lines = [f"ready {origin}/meet"] if origin else [f"ready {' '.join(node.turn_urls())}"]
    if dev and origin:
        lines += [f"{name}: {origin}/meet?room=demo&token={_dev_token(name)}" for name in ("alice", "bob")]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _dev_token(identity: str) -> str:
    ((key, secret),) = DEV_KEYS.items()
    grants = Grants(room="demo", room_join=True, can_update_own_metadata=True)
    return mint(key, secret, grants, identity=identity, name=identity.capitalize(), now=time.time(), ttl_s=24 * 3600)


def _native_engine(config: EngineConfig) -> NodeEngine:
    try:
        from sfu._native import Engine
    except ImportError as error:
        raise StartError(
            "The engine has not been built. Run `make engine` in the source tree, or install a wheel."
        ) from error
    return Engine(config)


def _signal_server(parts: SignalParts) -> SignalServer:
    from control.signal.server import SignalServer as Server

    return Server(parts)


_DESCRIPTORS = 65_536
# The last is 10 by default. Full collections stay rare in a large node: each waits until a quarter is new.
_GC_THRESHOLDS = (700, 10, 3)
_SECOND_THOUGHT_S = 1.0
