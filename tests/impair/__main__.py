"""A bad network for a server at home: `python -m tests.impair --server 127.0.0.1:7882 --listen 0.0.0.0:40000 --loss 5`.

docs/bad-networks.md has the whole recipe.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

from control.section import Listen
from tests.impair.flow import CLEAN, Flow, Profile
from tests.impair.link import Fate, LinkConfig, RateLimit
from tests.impair.loss import GilbertElliott, Loss, RandomLoss
from tests.impair.proxy import Proxy


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until Ctrl-C, then prints what happened to each client's datagrams."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        profile = profile_of(options)
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_serve(options, profile))
    except OSError as error:
        print(f"{options.listen} cannot be bound: {error.strerror or error}.", file=sys.stderr)
        return 1
    return 0


def profile_of(options: argparse.Namespace) -> Profile:
    """Raises `ValueError` with a sentence."""
    link = LinkConfig(
        loss=_loss(options.loss / 100, options.burst),
        delay_s=options.delay / 1000,
        jitter_s=options.jitter / 1000,
        reorder=options.reorder / 100,
        reorder_by_s=options.reorder_by / 1000,
        duplicate=options.duplicate / 100,
        rate=RateLimit(options.rate * 1000, options.queue * 1000) if options.rate is not None else None,
    )
    return Profile(
        up=link if options.direction in ("both", "up") else CLEAN.up,
        down=link if options.direction in ("both", "down") else CLEAN.down,
    )


def _loss(share: float, burst: float | None) -> Loss:
    return RandomLoss(share) if burst is None else GilbertElliott.bursts(share, burst)


async def _serve(options: argparse.Namespace, profile: Profile) -> None:
    listen, server = options.listen, options.server
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as closing:
        proxies = []
        for shard in range(options.shards):
            upstream, own = (server.host, server.port + shard), (listen.host, listen.port + shard)
            proxies.append(Proxy(upstream, profile, seed=options.seed + shard, listen=own))
            closing.callback(proxies[-1].close)
        print(f"from {listen} to {server}, seed {options.seed}; Ctrl-C ends", flush=True)
        await stop.wait()
        for proxy in proxies:
            for flow in proxy.flows:
                print(_report(flow))


def _report(flow: Flow) -> str:
    parts = []
    for name, tally in (("up", flow.up.tally), ("down", flow.down.tally)):
        share = tally.dropped / max(tally.datagrams, 1)
        parts.append(
            f"{name} {tally.datagrams} datagrams, {tally.fates[Fate.LOST]} lost, "
            f"{tally.fates[Fate.QUEUE_FULL]} over the queue ({share:.2%})"
        )
    return f"client {flow.number}: " + "; ".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.impair", description="A bad network in front of a server.")
    parser.add_argument("--server", type=_address, default="127.0.0.1:7882", help="its first media port")
    parser.add_argument("--listen", type=_address, default="127.0.0.1:40000", help="what rtc.advertise says")
    parser.add_argument("--shards", type=int, default=1, metavar="N", help="ports in a row, as the server has them")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives each client the same losses (1)")
    parser.add_argument("--direction", choices=("both", "up", "down"), default="both", help="up: towards the server")
    for name, unit, meaning in _NUMBERS:
        parser.add_argument(name, type=float, default=0.0, metavar=unit, help=meaning)
    parser.add_argument("--burst", type=float, metavar="N", help="lose them in bursts of N on average")
    parser.add_argument("--reorder-by", metavar="MS", help="how much later these arrive (10)", type=float, default=10.0)
    parser.add_argument("--rate", type=float, metavar="KBPS", help="a bottleneck, in kilobits per second")
    parser.add_argument("--queue", type=int, metavar="KB", default=64, help="what may wait there, in kilobytes (64)")
    return parser


def _address(text: str) -> Listen:
    try:
        return Listen.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_NUMBERS = (
    ("--loss", "PERCENT", "datagrams lost"),
    ("--delay", "MS", "the least time a datagram takes"),
    ("--jitter", "MS", "up to this much is added; the order stays"),
    ("--reorder", "PERCENT", "datagrams that are overtaken"),
    ("--duplicate", "PERCENT", "datagrams that arrive twice"),
)

if __name__ == "__main__":
    sys.exit(main())
