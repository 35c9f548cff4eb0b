"""Browsers that UDP does not reach."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.browser import Browser
from tests.e2e.call import LIGHT, flows, join, samples_of, until_best
from tests.support.server import Server


@pytest.mark.timeout(120)
async def test_two_pages_in_a_call_over_tcp(
    browser: Browser, client_page: str, start_server: Callable[..., Server]
) -> None:
    server = start_server(module="tests.support.only_tcp")
    pages = [
        await join(browser, client_page, server, "tcp", identity, single=single)
        for identity, single in (("ada", True), ("bob", False))
    ]
    for page in pages:
        await page.publish("vp8", LIGHT)
    await until_best(pages)
    for flow in await flows(pages, 3):
        assert flow.ratio > 0.9, flow
        assert (flow.lost, flow.freezes) == (0, 0), flow
    for identity, sample in (await samples_of(pages)).items():
        protocols = {transport["protocol"] for transport in sample["transports"]}
        assert protocols == {"tcp"}, identity
    assert server.metrics()['sfu_paths_selected_total{protocol="udp"}'] == 0
