"""Metrics: what the documentation lists is what a scrape shows, with bounded labels."""

from __future__ import annotations

import asyncio
import re
import time

from prometheus_client.parser import text_string_to_metric_families

from control.metrics import JOIN_STAGES, NODE_STATES, Inventory, Metrics
from scripts.generate import ROOT
from sfu.seam import ShardStats, Stats
from turn.seam import Method
from turn.server import TurnInventory


class Sources:
    def __init__(self, *shards: ShardStats, inventory: Inventory = Inventory()) -> None:  # noqa: B008
        self.shards = shards
        self.turn = TurnInventory()
        self._inventory = inventory

    def stats(self) -> Stats:
        return Stats(self.shards)

    def inventory(self) -> Inventory:
        return self._inventory

    def turn_inventory(self) -> TurnInventory:
        return self.turn


def scrape(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = metrics.render().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def watching(*shards: ShardStats, inventory: Inventory | None = None) -> Metrics:
    metrics = Metrics("1.2.3")
    metrics.watch(Sources(*shards, inventory=inventory or Inventory()))
    return metrics


def test_a_scrape_shows_what_is_documented_and_nothing_else() -> None:
    metrics = watching(ShardStats({"drop.malformed": 1}))
    metrics.count_join("joined", single=True, reconnect=False)
    documented = {
        line.split("`")[1]
        for line in (ROOT / "docs/metrics.md").read_text().splitlines()
        if line.startswith(("| `sfu_", "| `turn_", "| `http_", "| `process_"))
    }
    text = metrics.render().decode()
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert shown == documented


def test_shards_are_added_up_and_dotted_names_become_labels() -> None:
    metrics = watching(
        ShardStats(
            {"drop.malformed": 2, "udp.kernel_drops": 1, "rtp.in": 10, "transports.open": 1, "shard.busy_us": 1}
        ),
        ShardStats(
            {"shard.busy_us": 1_500_000, "drop.malformed": 3, "rtp.in": 5, "loop.wakeups": 7, "transports.open": 2}
        ),
    )
    samples = scrape(metrics)
    assert samples["sfu_packets_dropped_total", frozenset({("reason", "malformed")})] == 5
    assert samples["sfu_udp_kernel_drops_total", frozenset()] == 1
    assert samples["sfu_engine_events_total", frozenset({("name", "loop.wakeups")})] == 7
    assert samples["sfu_packets_total", frozenset({("direction", "in"), ("class", "rtp")})] == 15
    assert samples["sfu_engine_objects", frozenset({("object", "transports")})] == 3
    assert samples["sfu_shard_busy_seconds_total", frozenset()] == 1.500001
    assert samples["sfu_shards", frozenset()] == 2


def test_every_counter_of_the_engine_has_a_metric_of_its_own() -> None:
    sources = [ROOT / f"crates/{crate}/src/counters.rs" for crate in ("forward", "relay")]
    sources += (ROOT / "crates/engine/src").glob("**/*.rs")
    names = {
        name
        for source in sources
        for name in re.findall(r'"([a-z]+\.[a-z_]+)"', source.read_text())
        if not name.startswith("sfu.") and name not in {"turn.test", "stun.turn"}
    }
    assert len(names) > 50
    text = watching(ShardStats(dict.fromkeys(names, 1))).render().decode()
    assert not [line for line in text.splitlines() if line.startswith("sfu_engine_events_total{")]


def test_forward_latency_is_a_histogram_in_seconds() -> None:
    shard = ShardStats({}, forward_latency_us=((20, 1), (100, 4), (-1, 5)), forward_latency_sum_us=400)
    samples = scrape(watching(shard, shard))
    name = "sfu_forward_latency_seconds"
    assert samples[f"{name}_bucket", frozenset({("le", "2e-05")})] == 2
    assert samples[f"{name}_bucket", frozenset({("le", "0.0001")})] == 8
    assert samples[f"{name}_bucket", frozenset({("le", "+Inf")})] == 10
    assert samples[f"{name}_count", frozenset()] == 10
    assert samples[f"{name}_sum", frozenset()] == 0.0008


def test_relay_latency_is_a_histogram_in_seconds() -> None:
    names = {"turn.relay_latency_us_32": 1, "turn.relay_latency_us_1024": 4, "turn.relay_latency_us_inf": 5}
    samples = scrape(watching(ShardStats({**names, "turn.relay_latency_sum_us": 400}), ShardStats({})))
    name = "turn_relay_latency_seconds"
    assert samples[f"{name}_bucket", frozenset({("le", "3.2e-05")})] == 1
    assert samples[f"{name}_bucket", frozenset({("le", "0.001024")})] == 4
    assert samples[f"{name}_count", frozenset()] == 5
    assert samples[f"{name}_sum", frozenset()] == 0.0004
    assert ("sfu_engine_events_total", frozenset({("name", "turn.relay_latency_us_32")})) not in samples


def test_without_an_engine_that_relays_everything_is_zero() -> None:
    samples = scrape(watching(ShardStats({})))
    assert samples["turn_relay_latency_seconds_count", frozenset()] == 0
    assert samples["turn_relay_sockets", frozenset()] == 0
    assert samples["turn_auth_failures_total", frozenset({("reason", "integrity")})] == 0
    assert not any(value for (name, _), value in samples.items() if name.startswith("turn_"))


def test_what_turn_counts_is_shown_with_bounded_labels() -> None:
    metrics = Metrics("1")
    sources = Sources(ShardStats({"turn.dropped_limited": 3, "turn.to_tls_packets": 2, "turn.to_peer_bytes": 9}))
    sources.turn = TurnInventory(
        allocations={"udp": 2, "tls": 1},
        listeners={"udp": 1},
        ports={"taken": 3},
        minted=4,
        auth_failures={"expired": 5},
        refused={(Method.CHANNEL_BIND, 403): 6, (Method.ALLOCATE, 999): 1},
        refused_peers=7,
        quota_hits={"ports": 8},
    )
    metrics.watch(sources)
    samples = scrape(metrics)
    assert samples["turn_allocations", frozenset()] == 3
    assert samples["turn_allocations_by_transport", frozenset({("transport", "tls")})] == 1
    assert samples["turn_listeners", frozenset({("transport", "udp")})] == 1
    assert samples["turn_ports", frozenset({("state", "taken")})] == 3
    assert samples["turn_join_credentials", frozenset()] == 4
    assert samples["turn_auth_failures_total", frozenset({("reason", "expired")})] == 5
    assert samples["turn_requests_refused_total", frozenset({("method", "channel_bind"), ("code", "403")})] == 6
    assert samples["turn_refused_peers_total", frozenset()] == 7
    assert samples["turn_quota_hits_total", frozenset({("quota", "ports")})] == 8
    assert samples["turn_packets_dropped_total", frozenset({("reason", "limited")})] == 3
    assert samples["turn_client_packets_total", frozenset({("direction", "out"), ("transport", "tls")})] == 2
    assert samples["turn_relayed_bytes_total", frozenset({("direction", "to_peer")})] == 9
    assert not [name for name, labels in samples if ("code", "999") in labels]


def test_the_inventory_is_read_at_each_scrape() -> None:
    inventory = Inventory(
        rooms=2, participants={"active": 3}, tracks={("in", "video"): 4}, engine_objects={"consumers": 9}
    )
    samples = scrape(watching(inventory=inventory))
    assert samples["sfu_rooms", frozenset()] == 2
    assert samples["sfu_participants", frozenset({("state", "active")})] == 3
    assert samples["sfu_tracks", frozenset({("direction", "in"), ("kind", "video")})] == 4
    assert samples["sfu_room_engine_objects", frozenset({("object", "consumers")})] == 9


def test_unknown_states_and_methods_add_no_series() -> None:
    metrics = watching(inventory=Inventory(participants={"dancing": 3}))
    metrics.observe_request("/rtc", "BREW", 418, 0.1)
    metrics.observe_request("/rtc", "STEEP", 418, 0.1)
    before = len(scrape(metrics))
    metrics.observe_request("/rtc", "POUR", 418, 0.1)
    assert len(scrape(metrics)) == before
    assert "dancing" not in metrics.render().decode()


def test_the_node_is_in_one_state() -> None:
    metrics = Metrics("1")
    for state in NODE_STATES:
        metrics.set_state(state)
        samples = scrape(metrics)
        values = {known: samples["sfu_node_state", frozenset({("state", known)})] for known in NODE_STATES}
        assert values == {known: float(known == state) for known in NODE_STATES}


def test_join_stages_start_at_zero() -> None:
    samples = scrape(Metrics("1"))
    assert all(samples["sfu_join_stage_seconds_count", frozenset({("stage", stage)})] == 0 for stage in JOIN_STAGES)


async def test_a_blocked_loop_shows_as_lag() -> None:
    metrics = Metrics("1")
    task = asyncio.create_task(metrics.watch_loop())
    await asyncio.sleep(0.05)
    time.sleep(0.8)  # the stall that is to be seen, longer than the time between two looks
    await asyncio.sleep(0.15)
    task.cancel()
    samples = scrape(metrics)
    assert samples["sfu_event_loop_lag_seconds_sum", frozenset()] > 0.15
