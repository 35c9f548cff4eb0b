"""Every row of docs/security.md names tests, and they are there."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.support.server import ROOT

ROWS = [
    line.strip("|").split("|")
    for line in (ROOT / "docs/security.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| Threat"))
]


@cache
def sources() -> str:
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "crates").rglob("*.rs")]
    return "\n".join(path.read_text() for path in files)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip()[:60])
def test_every_row_has_a_threat_a_defence_and_tests_that_exist(row: list[str]) -> None:
    threat, defence, tests = row
    assert threat.strip()
    assert defence.strip()
    names = re.findall(r"`(?:[\w/]+/)?([\w.]+)`", tests)
    assert names, f"no test for {threat}"
    for name in names:
        found = re.search(rf"(def|fn|mod|machine\(\"|name = \") ?{re.escape(name)}\b", sources())
        assert found or any(any((ROOT / where).rglob(name)) for where in ("tests", "crates")), (
            f"there is no test {name}"
        )


def test_there_is_a_row_for_every_threat_that_was_promised() -> None:
    text = " ".join(row[0].lower() for row in ROWS)
    promised = (
        "change of path", "reflection", "1,000 handshakes", "flood of checks", "ssrc 0", "10,000 ssrcs", "rids", "recorded",
        "index space", "nacks", "transport-cc", "sctp in pieces", "megabyte", "10,000 sections", "garbage", "not read", "ping",
        "gzip bomb", "panic", "h-01 to h-04", "h-05, h-06", "h-07, h-08", "h-10 to h-12", "h-13", "h-14", "h-15, h-16",
        "h-17, h-18", "h-19", "h-20", "h-21 to h-25", "h-26 to h-28", "h-29 to h-31", "h-32", "h-33", "loops", "cut or joined",
    )  # fmt: skip
    assert [threat for threat in promised if threat not in text] == []
