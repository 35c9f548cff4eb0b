"""`python -m tests.fuzz <target|all> [--seconds 60] [--seed 1]` mutates; `list` prints the targets; `generate` rewrites the
generated corpus files.

`rooms` is no parser: random sequences of what people do in a room, against a model (`tests/unit/rooms`).
An input that breaks its target is saved under `crashes/` and told; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz import files
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS
from tests.unit.rooms.explore import explore

#: Sequences of operations instead of bytes.
ROOMS = "rooms"
CRASHES = Path(__file__).parent / "crashes"
#: Honest inputs of this size take a few milliseconds; on a busy machine a hundred.
SLOW_S = 1.0
#: New inputs kept beside the corpus.
KEPT = 2_000


def run(name: str, seconds: float, seed: int) -> bool:
    """One campaign; False when something broke."""
    target, rng = TARGETS[name], random.Random(f"{seed} {name}")
    pool = list(files.load(name).values())
    outcomes: set[str] = set()
    queue, runs, end = list(pool), 0, time.monotonic() + seconds
    while queue or time.monotonic() < end:
        data = queue.pop() if queue else mutate(rng, rng.choice(pool), pool)
        runs += 1
        started = time.process_time()
        try:
            outcome = target(data)
        except Exception:  # noqa: BLE001 (any exception is the finding)
            return _broken(name, data, traceback.format_exc())
        if time.process_time() - started > SLOW_S:
            return _broken(name, data, f"took longer than {SLOW_S} s\n")
        if outcome not in outcomes:
            outcomes.add(outcome)
            if len(pool) < KEPT:
                pool.append(data)
    print(f"{name:<24} {runs:>10} runs {len(outcomes):>6} outcomes", flush=True)
    return True


def run_rooms(seconds: float, seed: int) -> bool:
    """As `run`, of the machine of rooms."""
    try:
        passed = explore(seconds, seed)
    except Exception:  # noqa: BLE001 (any exception is the finding)
        print(f"{ROOMS:<24} BROKEN, seed {seed}\n{traceback.format_exc()}", flush=True)
        return False
    print(f"{ROOMS:<24} {passed:>10} sequences", flush=True)
    return True


def _broken(name: str, data: bytes, why: str) -> bool:
    path = CRASHES / name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    print(f"{name:<24} BROKEN by {path}\n{why}", flush=True)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, ROOMS, "all", "list", "generate"])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.target == "list":
        print(*TARGETS, ROOMS, sep="\n")
        return 0
    names = list(TARGETS) if arguments.target in {"all", "generate"} else [arguments.target]
    if arguments.target == "generate":
        for name in names:
            print(f"{name:<24} {files.regenerate(name)} files")
        return 0
    held = [run(name, arguments.seconds, arguments.seed) for name in names if name != ROOMS]
    if arguments.target in {ROOMS, "all"}:
        held.append(run_rooms(arguments.seconds, arguments.seed))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
