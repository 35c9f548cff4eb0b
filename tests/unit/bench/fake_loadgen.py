"""`loadgen call` without a network: answers what the tests' numbers say, and keeps what it was asked in $ASKED."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.unit.bench.call_numbers import join_reply, measure_reply


def answer(request: dict[str, Any]) -> dict[str, Any]:
    match request["do"]:
        case "join" if refused := os.environ.get("REFUSED"):
            return join_reply(joined=0, failed=[refused] * len(request["participants"]))
        case "join" if error := os.environ.get("ERROR"):
            return {"error": error}
        case "join":
            return join_reply(joined=len(request["participants"]))
        case "measure":
            return measure_reply()
        case _:
            return {}


def main() -> None:
    asked = Path(os.environ["ASKED"])
    for line in sys.stdin:
        with asked.open("a") as file:
            file.write(line)
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
