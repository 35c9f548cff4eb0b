"""What is read out of callgrind's files."""

from __future__ import annotations

import pytest

from bench.callgrind import Function, self_cost

#: `main` calls `forward` (40 in all), which calls `memcpy` (7) of another object and has 3 inlined from another file.
PROFILE = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 1
cmd:  ./instructions video
part: 1

desc: I1 cache:
desc: Trigger: Program termination

positions: line
events: Ir
summary: 60

ob=(1) /build/instructions
fl=(1) src/main.rs
fn=(1) instructions::main
10 5
+1 10
cfi=(2) src/forward.rs
cfn=(2) forward::handle
calls=2 20
* 40
-1 5

fl=(2)
fn=(2)
20 25
fi=(3) src/ring.rs
7 3
fe=(2)
21 5
cob=(2) /lib/libc.so.6
cfi=(4) ???
cfn=(3) memcpy
calls=1 0
22 7

ob=(2)
fl=(4)
fn=(3)
0 7

totals: 60
"""


def test_a_function_costs_what_it_executes_by_itself() -> None:
    assert self_cost(PROFILE.splitlines()) == {
        Function("/build/instructions", "instructions::main"): 20,
        Function("/build/instructions", "forward::handle"): 33,
        Function("/lib/libc.so.6", "memcpy"): 7,
    }


def test_it_adds_up_to_the_total() -> None:
    assert sum(self_cost(PROFILE.splitlines()).values()) == 60


def test_names_that_were_first_written_by_a_caller_are_known() -> None:
    lines = ["ob=(1) a", "fn=(1) one", "cob=(2) b", "cfn=(2) two", "calls=1 1", "1 9", "ob=(2)", "fn=(2)", "1 9"]
    assert self_cost(lines) == {Function("b", "two"): 9}


def test_names_need_no_numbers() -> None:
    assert self_cost(["ob=a b", "fn=one two", "1 2"]) == {Function("a b", "one two"): 2}


def test_other_events_are_refused() -> None:
    with pytest.raises(ValueError, match="Dr"):
        self_cost(["events: Ir Dr"])
