"""After the tests in CI: how many ran, of them how many against other implementations, and failure if any was skipped.

Usage: python -m scripts.ci_report JUNIT_XML OUTPUT_OF_MAKE_TEST
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path


def main(junit: str, log: str) -> int:
    """1 when a test was skipped, in Python or in Rust, or when no interop test ran."""
    ran: Counter[str] = Counter()
    skipped: list[str] = []
    for case in ET.parse(junit).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("skipped") is not None:
            skipped.append(name)
        else:
            ran[name.split(".")[1] if name.startswith("tests.") else "other"] += 1
    rust = Path(log).read_text(errors="replace")
    passed = sum(int(count) for count in re.findall(r"^test result: ok\. (\d+) passed", rust, re.MULTILINE))
    ignored = sum(int(count) for count in re.findall(r"^test result: .*; (\d+) ignored", rust, re.MULTILINE))
    sys.stdout.write(f"Rust tests: {passed}\n")
    for folder, count in sorted(ran.items()):
        sys.stdout.write(f"Python tests in tests/{folder}: {count}\n")
    sys.stdout.write(f"interop tests run: {ran['interop']}, in browsers: {ran['e2e']}\n")
    for name in skipped:
        sys.stdout.write(f"skipped: {name}\n")
    if ignored:
        sys.stdout.write(f"ignored Rust tests: {ignored}\n")
    if not ran["interop"]:
        sys.stdout.write("no interop test ran\n")
    return int(bool(skipped or ignored or not ran["interop"]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
