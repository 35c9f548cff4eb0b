"""`python -m bench instructions`: how many instructions our own code executes for each packet, counted by callgrind.

`crates/instructions` is the load. Unlike time, the count is the same on every machine, and again in every run; so a report of it is kept
(`reports/instructions.json`), and `--check` fails when a scenario needs more than 5 % above that. Cryptography and the C library choose
their code by the processor: they are counted apart and judged by nobody.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bench.callgrind import Function, self_cost
from bench.loadgen import ROOT
from bench.machine import machine

BINARY = ROOT / "target" / "release" / "instructions"
KEPT = ROOT / "bench" / "reports" / "instructions.json"
SCENARIOS = {
    "video": "VP8, 1 publisher to 50 consumers, 1,200 B in bursts of 4",
    "audio": "Opus, 1 publisher to 50 consumers, 80 B",
    "relay-to-peer": "TURN, ChannelData of 1,200 B to peers, 50 allocations",
    "relay-to-client": "TURN, 1,200 B of peers as ChannelData, 50 allocations",
}
Owner = Literal["own", "crypto", "library"]


@dataclass(frozen=True, slots=True)
class Count:
    """Instructions for each packet that left: of our code, of cryptography, of the C library (copying, mostly)."""

    packets: int
    own: float
    crypto: float
    library: float

    @classmethod
    def of(cls, costs: Mapping[Function, int], packets: int) -> Count:
        sums: Counter[Owner] = Counter()
        for function, cost in costs.items():
            sums[owner(function)] += cost
        return cls(packets, *(round(sums[key] / packets, 1) for key in ("own", "crypto", "library")))


def owner(function: Function) -> Owner:
    """Whose code a function is.

    Ours is what is written in Rust, and the standard library with it. What else is in our executable is AWS-LC, in C and assembly: its
    names have no path, or that of its binding.
    """
    name = Path(function.object).name
    if name == BINARY.name:
        is_rust = "::" in function.name or function.name.startswith("__r")
        return "own" if is_rust and not _is_binding(function.name) else "crypto"
    return "crypto" if name.startswith(("libcrypto", "libssl")) else "library"


def exceeded(kept: Mapping[str, Count], now: Mapping[str, Count]) -> Iterator[str]:
    """Sentences about scenarios whose own instructions grew too much, or that were never kept."""
    for scenario, count in now.items():
        before = kept[scenario].own if scenario in kept else 0.0
        if not before:
            yield f"{scenario}: no count of it is kept"
        elif count.own > before * MAX_GROWTH:
            yield f"{scenario}: {count.own:g} instructions per packet, {count.own / before - 1:+.1%} against {before:g}"


def markdown(report: Mapping[str, Any]) -> str:
    """The page of a kept report."""
    return "\n".join(
        [
            "# Instructions per packet",
            "",
            "`make instructions ARGS=--keep`; [bench/README.md](../README.md) says what is counted.",
            f"{report['compiler']}, {report['valgrind']}, counted on {report['machine']['cpu']}.",
            "",
            table(_counts(report)),
            "",
        ]
    )


def table(counts: Mapping[str, Count], kept: Mapping[str, Count] | None = None) -> str:
    """Beside what is kept, if that is given."""
    columns = [
        "for each packet that leaves",
        "own",
        *(["kept"] if kept is not None else []),
        "cryptography",
        "C library",
    ]
    rows = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    for scenario, count in counts.items():
        before = [] if kept is None else [f"{kept[scenario].own:,.1f}" if scenario in kept else "-"]
        rows.append(
            [SCENARIOS[scenario], f"{count.own:,.1f}", *before, f"{count.crypto:,.1f}", f"{count.library:,.1f}"]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def measure(scenario: str) -> tuple[Count, Counter[Function]]:
    """Runs a scenario under callgrind; the count, and what it consists of."""
    with tempfile.TemporaryDirectory(prefix="bench-instructions-") as directory:
        out = Path(directory) / "callgrind.out"
        # Only what happens inside of these functions is counted, neither handshakes nor the making of packets.
        toggle = ["--collect-atstart=no", "--toggle-collect=*::counted*"]
        command = ["valgrind", "--tool=callgrind", *toggle, f"--callgrind-out-file={out}", str(BINARY), scenario]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
        with out.open() as lines:
            costs = self_cost(lines)
    return Count.of(costs, json.loads(done.stdout)["packets"]), costs


def main(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    if missing := _missing():
        _say(missing)
        return 2
    with ThreadPoolExecutor(2) as pool:
        measured = dict(zip(SCENARIOS, pool.map(measure, SCENARIOS), strict=True))
    counts = {scenario: count for scenario, (count, _) in measured.items()}
    report: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {"scenarios": {}}
    kept = _counts(report)
    _say(table(counts, kept))
    for scenario in SCENARIOS if arguments.functions else ():
        count, costs = measured[scenario]
        _say(f"\n{scenario}")
        for function, cost in costs.most_common(arguments.functions):
            _say(f"{cost / count.packets:10.1f}  {owner(function):8} {function.name}")
    if arguments.keep:
        _keep(counts)
    grown = list(exceeded(kept, counts)) if arguments.check else []
    for sentence in grown:
        _say(f"missed: {sentence}")
    if grown and (compiler := _version("rustc")) != report.get("compiler"):
        _say(
            f"What is kept is of {report.get('compiler')}, this of {compiler}: if the code before counts as much, --keep it."
        )
    return 1 if grown else 0


def _keep(counts: Mapping[str, Count]) -> None:
    report = {
        "command": ["python", "-m", "bench", "instructions", "--keep"],
        "machine": machine(),
        "compiler": _version("rustc"),
        "valgrind": _version("valgrind"),
        "scenarios": {scenario: asdict(count) for scenario, count in counts.items()},
    }
    KEPT.write_text(json.dumps(report, indent=2) + "\n")
    KEPT.with_suffix(".md").write_text(markdown(report))


def _counts(report: Mapping[str, Any]) -> dict[str, Count]:
    return {scenario: Count(**count) for scenario, count in report["scenarios"].items()}


def _version(command: str) -> str:
    return subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _missing() -> str | None:
    if shutil.which("valgrind") is None:
        return "missing, install with: apt-get install --yes valgrind"
    if not BINARY.exists():
        return "missing, build with: cargo build --locked --release --package instructions"
    return None


def _is_binding(name: str) -> bool:
    return name.lstrip("<").startswith(("aws_lc_rs::", "aws_lc_sys::"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench instructions", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="exit 1 when our code needs over 5 %% more than it is kept"
    )
    parser.add_argument("--keep", action="store_true", help=f"write {KEPT.relative_to(ROOT)}")
    parser.add_argument(
        "--functions", type=int, default=0, metavar="N", help="also print the N largest of each scenario"
    )
    return parser


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


#: Compilers and layouts of the code move it by a per cent or two.
MAX_GROWTH = 1.05

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
