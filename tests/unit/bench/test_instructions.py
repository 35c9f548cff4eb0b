"""Whose an instruction is, and when there are too many."""

from __future__ import annotations

import json

import pytest

from bench import instructions
from bench.callgrind import Function
from bench.instructions import Count, exceeded, owner

BINARY = str(instructions.BINARY)


@pytest.mark.parametrize(
    ("object", "name", "expected"),
    [
        (BINARY, "forward::forwarder::flush::<impl forward::forwarder::Forwarder>::flush", "own"),
        (BINARY, "<instructions::call::Room as forward::sink::DatagramSink>::reserve", "own"),
        (BINARY, "core::hash::BuildHasher::hash_one", "own"),
        (BINARY, "__rustc::__rdl_alloc", "own"),
        (BINARY, "aws_lc_rs::aead::LessSafeKey::seal_in_place_scatter", "crypto"),
        (BINARY, "<aws_lc_rs::hmac::Tag as core::clone::Clone>::clone", "crypto"),
        (BINARY, "aws_lc_0_35_0_EVP_AEAD_CTX_seal_scatter", "crypto"),
        (BINARY, "_aesni_ctr32_ghash_6x", "crypto"),
        ("/usr/lib/libcrypto.so.3", "EVP_DigestUpdate", "crypto"),
        ("/usr/lib/libc.so.6", "__memcpy_avx_unaligned_erms", "library"),
        ("/usr/lib/ld-linux-x86-64.so.2", "_dl_runtime_resolve", "library"),
    ],
)
def test_cryptography_and_the_c_library_are_not_ours(object: str, name: str, expected: str) -> None:  # noqa: A002
    assert owner(Function(object, name)) == expected


def test_a_count_is_per_packet() -> None:
    costs = {Function(BINARY, "forward::a"): 900, Function(BINARY, "wire::b"): 100, Function("libc.so.6", "memcpy"): 50}
    assert Count.of(costs, packets=10) == Count(packets=10, own=100, crypto=0, library=5)


def test_five_per_cent_more_are_allowed_and_no_more() -> None:
    kept = {"video": Count(1, own=1_000, crypto=1, library=1)}
    assert not list(exceeded(kept, {"video": Count(1, own=1_050, crypto=9_999, library=9_999)}))
    [sentence] = exceeded(kept, {"video": Count(1, own=1_060, crypto=1, library=1)})
    assert sentence == "video: 1060 instructions per packet, +6.0% against 1000"


def test_a_scenario_that_nobody_kept_does_not_pass() -> None:
    assert list(exceeded({}, {"audio": Count(1, own=1, crypto=1, library=1)})) == ["audio: no count of it is kept"]


def test_the_table_is_a_markdown_table_with_or_without_what_is_kept() -> None:
    counts = {"audio": Count(1, own=1_234.56, crypto=2, library=3)}
    assert instructions.table(counts).splitlines()[-1] == f"| {instructions.SCENARIOS['audio']} | 1,234.6 | 2.0 | 3.0 |"
    assert instructions.table(counts, {}).splitlines()[-1].endswith("| 1,234.6 | - | 2.0 | 3.0 |")
    assert {line.count("|") for line in instructions.table(counts, counts).splitlines()} == {6}


def test_a_count_is_kept_of_every_scenario_with_the_compiler_that_it_is_of() -> None:
    kept = json.loads(instructions.KEPT.read_text())
    assert instructions.KEPT.with_suffix(".md").read_text() == instructions.markdown(kept)
    assert kept["scenarios"].keys() == instructions.SCENARIOS.keys()
    assert kept["compiler"].startswith("rustc ")
    for count in kept["scenarios"].values():
        assert Count(**count).own > 0
