"""How what perf says is read, and what is told without perf."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from bench.calls import profile, scenarios, symbols
from bench.calls.symbols import Symbol

SAID = """\
# Samples: 379  of event 'cpu-clock'
#
# Samples\tShared Object       \tSymbol                 \t
400 \t[kernel.kallsyms]   \t[k] skb_segment
200 \t_native.abi3.so     \t[.] aws_lc_0_32_2_aes_gcm_encrypt
100 \t_native.abi3.so     \t[.] forward::flush::Outbox::send
100 \tlibpython3.11.so.1.0\t[.] _PyEval_EvalFrameDefault
 80 \tlibc.so.6           \t[.] __memmove_avx_unaligned
 70 \t[vdso]              \t[.] __vdso_clock_gettime
 50 \t[unknown]           \t[.] 0x00007f0000000000
"""


def line(samples: int, library: str, level: str, symbol: str) -> str:
    return f" {samples} \t{library}\t[{level}] {symbol}\n"


def test_symbols_are_told_with_their_shares_and_whose_they_are() -> None:
    found = symbols.parse(SAID)
    assert found[:3] == [
        Symbol("skb_segment", "kernel", 0.4),
        Symbol("aes_gcm_encrypt", "AES", 0.2),
        Symbol("forward::flush::Outbox::send", "ours", 0.1),
    ]
    assert symbols.shares(found) == pytest.approx(
        {"kernel": 0.4, "AES": 0.2, "Python": 0.15, "libc": 0.15, "ours": 0.1}
    )


def test_instances_of_a_function_are_one() -> None:
    said = "".join(
        line(samples, "_native.abi3.so", ".", f"hashbrown::map::HashMap<{kind}>::insert::h0123456789abcdef")
        for samples, kind in ((1, "u8, Vec<u8>"), (2, "u32, u32"))
    )
    assert symbols.parse(said) == [Symbol("hashbrown::map::HashMap::insert", "ours", 1.0)]


def test_the_type_that_implements_something_stays_in_a_name() -> None:
    (symbol,) = symbols.parse(line(1, "_native.abi3.so", ".", "<engine::Shard as mio::Handler>::handle"))
    assert symbol.name == "<engine::Shard as mio::Handler>::handle"


def test_the_largest_comes_first() -> None:
    said = line(1, "a.so", ".", "small") + line(3, "a.so", ".", "large")
    assert [symbol.name for symbol in symbols.parse(said)] == ["large", "small"]


def result(**changed: Any) -> dict[str, Any]:
    found = {
        "case": "Livestream: 1 to 200",
        "version": "abc123",
        "busy": 0.25,
        "groups": {"kernel": 0.8, "AES": 0.2},
        "symbols": [{"name": "skb_segment", "group": "kernel", "share": 0.4}],
        "engine": [{"name": "forward::send", "group": "ours", "share": 0.05}],
        **changed,
    }
    return {
        "command": ["python", "-m", "bench", "profile"],
        "date": "2026-01-02",
        "machine": {"cpu": "a CPU", "kernel": "6.18"},
        "seconds": 8.0,
        "profiles": [found],
    }


def test_the_report_has_groups_and_symbols_of_each_scenario() -> None:
    text = profile.markdown(result())
    assert "## Livestream: 1 to 200\n\nOurs abc123, busy for 25% of its core: kernel 80%, AES 20%." in text
    assert "| `skb_segment` | kernel | 40.0% |" in text
    assert "Of ours alone: `forward::send` 5.0%." in text


def test_the_two_main_scenarios_are_profiled() -> None:
    assert [case.name for case in profile.CASES] == [scenarios.livestream(200).name, scenarios.everyday(24).name]


def test_without_perf_the_line_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.calls.profile.shutil.which", lambda *_, **__: None)
    assert profile.main([]) == 2
    assert "apt-get install --yes linux-perf" in capsys.readouterr().out


def test_perf_that_may_not_record_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = subprocess.CompletedProcess([], 255, "", "Access to performance monitoring is limited.\n")
    monkeypatch.setattr("bench.calls.profile.subprocess.run", lambda *_, **__: refused)
    with pytest.raises(profile.PerfError, match=r"perf report: Access to performance monitoring is limited\.$"):
        profile._perf("report")
