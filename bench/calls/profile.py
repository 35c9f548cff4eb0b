"""`python -m bench profile`: where our server spends its time in the two main scenarios.

`perf record` says it, on its CPU clock. Exit 2 when perf is missing, or may not record.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import install, namespace
from bench.calls import scenarios, symbols
from bench.calls.generator import OWN_CORE, Generator, Target
from bench.calls.scenarios import Case, Measure
from bench.calls.servers import KEY, SECRET, Ours
from bench.commandline import say
from bench.machine import about
from bench.process import end_with_bench
from bench.report import dump, table


class PerfError(RuntimeError):
    """`perf` gave up; in its own words."""


def main(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    if lines := install.missing(missing()):
        say("\n".join(["missing, install with:", *lines]))
        return 2
    from bench.calls import media  # needs PyAV, which nothing above does

    directory = media.make()
    namespace.enter("bench", ["profile", *argv])
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-profile-") as folder:
            found = [_profile(case, Path(folder), directory, arguments.seconds) for case in CASES]
    except PerfError as error:
        say(str(error))
        return 2
    result = {**about(["profile", *argv], started), "seconds": arguments.seconds, "profiles": found}
    say(markdown(result))
    if arguments.json:
        Path(arguments.json).write_text(dump(result))
        Path(arguments.json).with_suffix(".md").write_text(markdown(json.loads(dump(result))))
    return 0


def missing() -> str | None:
    """The line that installs it, if it is not there."""
    return None if shutil.which("perf") else "apt-get install --yes linux-perf"


def _profile(case: Case, folder: Path, media: Path, seconds: float) -> dict[str, Any]:
    say(f"{case.group}, {case.name}")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Ours(folder))
        generator = stack.enter_context(Generator(Target(server.url, KEY, SECRET, server.pid), media))
        generator.join(case, "profile")
        time.sleep(WARM_UP_S)
        generator.start(Measure(), seconds)
        data = _record(server.pid, folder, seconds)
        spent = generator.hear("measure")["spent"]
        lines = _perf("report", "--input", str(data), *_REPORT)
    found = symbols.parse(lines)
    return {
        "case": f"{scenarios.GROUPS[case.group]}: {case.name}",
        "version": server.version,
        "busy": spent["server_s"] / spent["wall_s"],
        "groups": symbols.shares(found),
        "symbols": [asdict(symbol) for symbol in found[:LARGEST]],
        "engine": [asdict(symbol) for symbol in found if symbol.group == "ours"][:LARGEST_OF_ENGINE],
    }


def _record(pid: int, folder: Path, seconds: float) -> Path:
    """Samples of all its threads, as they spend CPU time; the clock needs no hardware counters, which guests rarely have."""
    data = folder / "perf.data"
    what = ("--event", "cpu-clock", "--freq", str(FREQUENCY), "--pid", str(pid), "--output", str(data))
    _perf("record", *what, "--", "sleep", f"{seconds:g}")
    return data


def _perf(*arguments: str) -> str:
    done = subprocess.run(
        [*end_with_bench(OWN_CORE), "perf", *arguments], capture_output=True, text=True, check=False, errors="replace"
    )
    if done.returncode:
        raise PerfError(f"perf {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def markdown(result: Mapping[str, Any]) -> str:
    """Of the JSON. Pure."""
    machine, command = result["machine"], " ".join(result["command"])
    head = (
        f"# Where the time goes\n\n{machine['cpu']}, Linux {machine['kernel']}. `{command}` on {result['date']}: "
        f"`perf record --event cpu-clock` on our server for {result['seconds']:g} s. Shares are of all samples. AES is what encrypts and "
        "authenticates, ours the rest of the engine, Python the interpreter and its other modules. What the kernel does while "
        "interrupts are off is charged to where it lets them in again, such as `_raw_spin_unlock_irqrestore`."
    )
    return "\n\n".join([head, *(_section(each) for each in result["profiles"])]) + "\n"


def _section(profile: Mapping[str, Any]) -> str:
    groups = ", ".join(f"{name} {share:.0%}" for name, share in profile["groups"].items())
    engine = ", ".join(f"`{symbol['name']}` {symbol['share']:.1%}" for symbol in profile["engine"])
    rows = [[f"`{symbol['name']}`", symbol["group"], f"{symbol['share']:.1%}"] for symbol in profile["symbols"]]
    return (
        f"## {profile['case']}\n\nOurs {profile['version']}, busy for {profile['busy']:.0%} of its core: {groups}.\n\n"
        f"{table(['symbol', 'of', 'share'], rows)}\n\nOf ours alone: {engine or 'nothing'}."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench profile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each scenario; default 8")
    parser.add_argument("--json", metavar="FILE", help="write everything to FILE, and the report beside it (.md)")
    return parser


CASES = (scenarios.livestream(200), scenarios.everyday(24))
WARM_UP_S = 2.0
#: A second, and not in step with timers of a millisecond.
FREQUENCY = 997
LARGEST = 10
#: The kernel's are so many that little else is among the largest.
LARGEST_OF_ENGINE = 5
_REPORT = (
    "--stdio",
    "--no-children",
    "--fields",
    "sample,dso,symbol",
    "--field-separator",
    "\t",
    "--percent-limit",
    "0",
)
