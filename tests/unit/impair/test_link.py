"""The impairment proxy's core keeps its word: the shares, the order, the queue, and one seed is one run."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.impair.flow import CLEAN, Flow, Profile
from tests.impair.link import Fate, Link, LinkConfig, RateLimit
from tests.impair.loss import GilbertElliott, RandomLoss
from tests.impair.rng import Rng
from tests.impair.tally import Stream, Tally

EVERYTHING = LinkConfig(RandomLoss(0.2), 0.01, 0.02, 0.1, 0.005, 0.1, RateLimit(1e6, 3_000))


def deliveries(config: LinkConfig, count: int, seed: int = 1, size: int = 100) -> list[tuple[int, float]]:
    """Sends a datagram each millisecond; gives (its number, arrival in ms)."""
    link = Link(config, Rng(seed))
    for number in range(count):
        link.handle(number / 1000, number.to_bytes(4, "big").ljust(size, b"."))
    return [(int.from_bytes(datagram[:4], "big"), at * 1000) for at, datagram in drained(link)]


def drained(link: Link) -> list[tuple[float, bytes]]:
    arrived = []
    while (at := link.poll_timeout()) is not None:
        assert link.poll(at - 1e-6) is None
        datagram = link.poll(at)
        assert datagram is not None
        arrived.append((at, datagram))
    return arrived


def fates(config: LinkConfig, count: int) -> list[bool]:
    link = Link(config, Rng(1))
    return [link.handle(0, b"x") is Fate.LOST for _ in range(count)]


def test_a_link_without_impairments_changes_nothing() -> None:
    arrived = deliveries(LinkConfig(), 50)
    assert [number for number, _ in arrived] == list(range(50))
    assert [at for _, at in arrived] == pytest.approx(range(50))


def test_one_seed_is_one_run() -> None:
    assert deliveries(EVERYTHING, 500, 7) == deliveries(EVERYTHING, 500, 7)
    assert deliveries(EVERYTHING, 500, 7) != deliveries(EVERYTHING, 500, 8)


def test_the_seed_gives_the_numbers_of_the_rust_emulator() -> None:
    # Splitmix64 from 1, as published with the algorithm and as crates/netem draws.
    rng = Rng(1)
    assert [rng.next_u64() for _ in range(3)] == [0x910A2DEC89025CC1, 0xBEEB8DA1658EEC67, 0xF893A2EEFB32555E]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_random_loss_has_the_given_share(share: float) -> None:
    assert sum(fates(LinkConfig(RandomLoss(share)), 50_000)) / 50_000 == pytest.approx(share, rel=0.1)


@pytest.mark.parametrize(("share", "length"), [(0.02, 5), (0.05, 3), (0.1, 10)])
def test_bursts_have_the_given_share_and_length(share: float, length: float) -> None:
    lost = fates(LinkConfig(GilbertElliott.bursts(share, length)), 200_000)
    runs = [len(list(run)) for is_lost, run in itertools.groupby(lost) if is_lost]
    assert sum(lost) / len(lost) == pytest.approx(share, rel=0.1)
    assert sum(runs) / len(runs) == pytest.approx(length, rel=0.1)


def test_jitter_delays_but_keeps_the_order() -> None:
    arrived = deliveries(LinkConfig(delay_s=0.03, jitter_s=0.04), 2_000)
    taken = [at - number for number, at in arrived]
    assert [number for number, _ in arrived] == list(range(2_000))
    assert min(taken) >= 30
    assert max(taken) <= 70
    assert sum(taken) / len(taken) > 55  # waiting for those before adds to the even 30 to 70


def test_reordered_datagrams_are_overtaken() -> None:
    arrived = [number for number, _ in deliveries(LinkConfig(reorder=0.1, reorder_by_s=0.003), 2_000)]
    late = sum(after < before for before, after in itertools.pairwise(arrived))
    assert sorted(arrived) == list(range(2_000))
    assert 100 < late < 300


def test_duplicates_arrive_twice() -> None:
    assert [number for number, _ in deliveries(LinkConfig(duplicate=1), 3)] == [0, 0, 1, 1, 2, 2]


def test_a_bottleneck_queues_and_then_drops() -> None:
    # 100 bytes take 10 ms.
    arrived = deliveries(LinkConfig(rate=RateLimit(80_000, 300)), 30)
    assert len(arrived) == 5
    assert all(after[1] >= before[1] + 9.999 for before, after in itertools.pairwise(arrived))


def test_what_the_queue_refuses_is_counted_apart_from_what_is_lost() -> None:
    flow = Flow(Profile(down=LinkConfig(rate=RateLimit(80_000, 300))), 1, 0)
    for seq in range(5):
        packet = bytes([0x80, 96, 0, seq]) + bytes(4) + (77).to_bytes(4, "big") + bytes(88)
        flow.down.handle(0, packet)
        flow.up.handle(0, packet)
    assert flow.down.tally.fates == {Fate.SENT: 3, Fate.QUEUE_FULL: 2}
    assert (flow.down.tally.streams[77].packets, flow.down.tally.streams[77].dropped) == (5, 2)
    assert (flow.up.tally.dropped, flow.up.tally.streams[77].dropped) == (0, 0)


def test_padding_is_not_counted_with_the_media() -> None:
    flow = Flow(Profile(down=LinkConfig(RandomLoss(1))), 1, 0)
    flow.down.handle(0, bytes([0xA0, 96]) + bytes(6) + (77).to_bytes(4, "big") + bytes(88))
    stream = flow.down.tally.streams[77]
    assert (stream.packets, stream.dropped, stream.padding) == (0, 0, 1)


def test_a_repair_on_another_stream_counts_once_and_only_for_what_was_lost() -> None:
    tally = Tally()

    def send(ssrc: int, timestamp: int, *, marker: bool, passed: bool) -> None:
        sent[ssrc] += 1
        head = bytes([0x80, 96 | marker << 7]) + sent[ssrc].to_bytes(2, "big")
        words = timestamp.to_bytes(4, "big") + ssrc.to_bytes(4, "big")
        tally.note(head + words + bytes(20), Fate.SENT if passed else Fate.LOST)

    sent: Counter[int] = Counter()
    send(77, 1, marker=False, passed=True)
    send(77, 1, marker=True, passed=False)
    send(78, 1, marker=False, passed=True)  # of no use
    send(78, 1, marker=True, passed=False)
    assert tally.streams[77].repaired_by_rtx == 0
    send(78, 1, marker=True, passed=True)
    send(78, 1, marker=True, passed=True)
    assert (tally.streams[77].dropped, tally.streams[77].repaired_by_rtx) == (1, 1)


def test_what_is_sent_again_under_its_old_number_is_told_apart() -> None:
    stream = Stream()

    def send(seq: int, *, passed: bool) -> None:
        stream.note(bytes([0x80, 96]) + (seq & 0xFFFF).to_bytes(2, "big"), passed=passed)

    for seq in range(65_530, 65_540):
        send(seq, passed=seq % 4 != 0)
    assert (stream.packets, stream.dropped, stream.repeats, stream.repaired) == (10, 2, 0, 0)
    send(65_532, passed=False)
    send(65_532, passed=True)
    send(65_532, passed=True)
    assert (stream.packets, stream.dropped, stream.repeats, stream.repaired) == (10, 2, 3, 1)


def test_a_control_run_loses_the_nacks_of_clients() -> None:
    flow = Flow(Profile(loses_nacks=True), 1, 0)
    report = bytes([0x81, 201, 0, 7]) + bytes(28)
    alone, pli, nack, trailer = bytes([0x81, 205, 0, 3]) + bytes(12), bytes(12), bytes(16), bytes(20)
    twcc, sender_report, media = (bytes([0x8F, 205, 0, 3]), bytes([0x81, 200, 0, 6]), bytes([0x81, 96]) + bytes(80))
    for passes in (report + trailer, report + pli + trailer, twcc + bytes(32), sender_report + bytes(80), media, b"x"):
        flow.up.handle(0, passes)
    assert flow.up.tally.dropped == 0
    for lost in (alone + trailer, report + nack + trailer):
        flow.up.handle(0, lost)
        flow.down.handle(0, lost)
    assert (flow.up.tally.dropped, flow.down.tally.dropped) == (2, 0)


def test_what_happens_to_one_client_does_not_depend_on_another() -> None:
    def lost(others: int) -> list[bool]:
        flows = [Flow(Profile.both(EVERYTHING), 5, number) for number in range(3)]
        for _ in range(others):
            flows[0].up.handle(0, b"x")
            flows[1].down.handle(0, b"x")
        return [flows[1].up.link.handle(at, b"x") is Fate.LOST for at in range(100)]

    assert lost(0) == lost(50)


def test_a_bad_network_is_the_same_however_long_the_good_one_lasted() -> None:
    def lost(before: int) -> list[bool]:
        flow = Flow(CLEAN, 5, 0)
        for _ in range(before):
            flow.up.handle(0, b"x")
        flow.configure(Profile.both(EVERYTHING))
        return [flow.up.link.handle(at, b"x") is Fate.LOST for at in range(100)]

    assert lost(0) == lost(50)
    assert any(lost(0))


@given(
    seed=st.integers(0, 2**64 - 1),
    config=st.builds(
        LinkConfig,
        st.one_of(
            st.builds(RandomLoss, st.floats(0, 1)),
            st.builds(GilbertElliott, *[st.floats(0, 1)] * 4),
        ),
        delay_s=st.floats(0, 1),
        jitter_s=st.floats(0, 1),
        reorder=st.floats(0, 1),
        reorder_by_s=st.floats(0, 1),
        duplicate=st.floats(0, 1),
        rate=st.one_of(st.none(), st.builds(RateLimit, st.floats(1e3, 1e8), st.integers(100, 10_000))),
    ),
    gaps=st.lists(st.floats(0, 0.1), max_size=40),
)
def test_what_is_sent_arrives_once_or_twice_and_never_early(seed: int, config: LinkConfig, gaps: list[float]) -> None:
    link, sent_at = Link(config, Rng(seed)), {}
    for number, now in enumerate(itertools.accumulate(gaps)):
        datagram = number.to_bytes(2, "big")
        if link.handle(now, datagram) is Fate.SENT:
            sent_at[datagram] = now
    arrived = drained(link)
    times = [at for at, _ in arrived]
    assert times == sorted(times)
    assert {datagram for _, datagram in arrived} == set(sent_at)
    assert len(arrived) <= 2 * len(sent_at)
    assert all(at >= sent_at[datagram] + config.delay_s - 1e-9 for at, datagram in arrived)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RandomLoss(1.5),
        lambda: GilbertElliott(0.1, -1),
        lambda: GilbertElliott.bursts(0.02, 0),
        lambda: LinkConfig(delay_s=-1),
        lambda: LinkConfig(reorder=2),
        lambda: RateLimit(0, 100),
        lambda: replace(EVERYTHING, duplicate=-0.1),
    ],
)
def test_values_that_make_no_sense_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each has its own sentence)
        wrong()  # type: ignore[operator]
