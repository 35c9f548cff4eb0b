"""RFC 8656 sections 9 to 12: permissions and channels, with the rows H-26 to H-31 as far as Python decides them."""

from __future__ import annotations

import pytest

from tests.unit.turn.harness import PEER, PEER6, Server, peers
from turn.quotas import QuotaLimits
from turn.seam import (
    Address,
    AllocationId,
    InstallChannel,
    InstallPermission,
    Method,
    RemoveChannel,
    RemovePermission,
    RequestId,
    TurnReply,
)

OTHER = Address("203.0.113.8", 4000)
NAME = AllocationId(1)


@pytest.fixture
def server() -> Server:
    made = Server()
    made.allocate()
    return made


def error_of(commands: list[object]) -> list[tuple[int, int | None]]:
    return [(one.request, one.error) for one in commands if isinstance(one, TurnReply)]


def test_a_permission_is_answered_when_the_engine_has_it(server: Server) -> None:
    assert server.ask(Method.CREATE_PERMISSION, peers=peers(PEER)) == [InstallPermission(NAME, PEER.host)]
    (reply,) = server.installed()
    assert isinstance(reply, TurnReply) and reply.request == 2 and reply.error is None and reply.key
    server.check()


def test_a_permission_is_for_the_address_and_any_port(server: Server) -> None:
    two = peers(PEER, Address(PEER.host, 9))
    assert server.ask(Method.CREATE_PERMISSION, peers=two) == [InstallPermission(NAME, PEER.host)]


def test_a_request_with_many_peers_waits_for_the_last_of_them(server: Server) -> None:
    server.ask(Method.CREATE_PERMISSION, peers=peers(PEER, OTHER))
    assert server.installed_one(NAME, OTHER.host) == []
    assert error_of([*server.installed_one(NAME, PEER.host)]) == [(2, None)]


def test_two_requests_for_one_peer_install_it_once_and_are_both_answered(server: Server) -> None:
    server.ask(Method.CREATE_PERMISSION, peers=peers(PEER))
    assert server.ask(Method.CREATE_PERMISSION, peers=peers(PEER)) == []
    assert error_of([*server.installed()]) == [(2, None), (3, None)]


def test_a_permission_lasts_300_seconds_and_is_renewed_without_waiting(server: Server) -> None:
    server.answer(Method.CREATE_PERMISSION, peers=peers(PEER))
    assert server.later(299) == []
    assert error_of([*server.ask(Method.CREATE_PERMISSION, peers=peers(PEER))]) == [(3, None)]
    assert server.later(299) == []
    assert server.later(1) == [RemovePermission(NAME, PEER.host)]


@pytest.mark.parametrize(("reason", "error"), [("no_socket", 508), ("not_allowed", 403), ("something new", 508)])
def test_what_the_engine_cannot_install_is_refused_and_forgotten(server: Server, reason: str, error: int) -> None:
    server.ask(Method.CREATE_PERMISSION, peers=peers(PEER, OTHER))
    server.ask(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER))
    assert error_of([*server.installed_one(NAME, PEER.host, reason)]) == [(2, error), (3, error)]
    assert server.installed() == []
    assert not server.table.allocations[0].channels
    server.check()
    assert server.answer(Method.CHANNEL_BIND, channel=0x4001, peers=peers(PEER)).error is None


def test_an_engine_that_never_answers_keeps_nobody_waiting(server: Server) -> None:
    server.ask(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER))
    server.later(5)
    server.ask(Method.CREATE_PERMISSION, peers=peers(PEER))
    remove, *replies = server.later(5)
    assert remove == RemovePermission(NAME, PEER.host) and error_of([*replies]) == [(2, 508), (3, 508)]
    server.check()


@pytest.mark.parametrize("method", [Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_a_forbidden_peer_is_403_on_every_path(server: Server, method: Method) -> None:
    """H-26, H-27: the engine's one ACL has judged."""
    assert server.refused(method, channel=0x4000, peers=peers(PEER, allowed=False)) == 403


def test_one_forbidden_peer_forbids_them_all(server: Server) -> None:
    mixed = peers(PEER) + peers(OTHER, allowed=False)
    assert server.refused(Method.CREATE_PERMISSION, peers=mixed) == 403
    server.check()


@pytest.mark.parametrize("method", [Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_a_peer_of_the_other_family_is_443_even_if_it_is_forbidden_too(server: Server, method: Method) -> None:
    """H-28."""
    assert server.refused(method, channel=0x4000, peers=peers(PEER6)) == 443
    assert server.refused(method, channel=0x4000, peers=peers(PEER6, allowed=False)) == 443


def test_a_permission_for_nobody_is_a_bad_request(server: Server) -> None:
    assert server.refused(Method.CREATE_PERMISSION) == 400


def test_permissions_are_capped_and_a_request_beyond_installs_nothing() -> None:
    """H-31."""
    server = Server(quotas=QuotaLimits(permissions=3))
    server.allocate()
    hosts = [Address(f"203.0.113.{number}", 1) for number in range(5)]
    assert server.answer(Method.CREATE_PERMISSION, peers=peers(*hosts[:2])).error is None
    assert server.refused(Method.CREATE_PERMISSION, peers=peers(*hosts[1:4])) == 508
    assert server.refused(Method.CHANNEL_BIND, channel=0x4000, peers=peers(*hosts[:2])) == 400
    assert server.answer(Method.CREATE_PERMISSION, peers=peers(*hosts[:3])).error is None
    assert server.refused(Method.CHANNEL_BIND, channel=0x4000, peers=peers(hosts[4])) == 508
    assert server.answer(Method.CREATE_PERMISSION, peers=peers(*hosts[:3])).error is None
    server.check()


@pytest.mark.parametrize(
    ("channel", "error"),
    [(None, 400), (0, 400), (0x3FFF, 400), (0x7FFF, 400), (0x8000, 400), (0xFFFF, 400)],
)
def test_channels_outside_the_range_are_refused(server: Server, channel: int | None, error: int) -> None:
    """H-29."""
    assert server.refused(Method.CHANNEL_BIND, channel=channel, peers=peers(PEER)) == error


@pytest.mark.parametrize("channel", [0x4000, 0x4FFF, 0x5000, 0x7FFE])
def test_channels_of_older_clients_are_accepted(server: Server, channel: int) -> None:
    """H-29: the range of RFC 5766."""
    assert server.answer(Method.CHANNEL_BIND, channel=channel, peers=peers(PEER)).error is None


@pytest.mark.parametrize("many", [peers(), peers(PEER, OTHER)])
def test_a_channel_has_exactly_one_peer(server: Server, many: tuple[tuple[Address, bool], ...]) -> None:
    assert server.refused(Method.CHANNEL_BIND, channel=0x4000, peers=many) == 400


def test_a_channel_comes_after_its_permission_and_before_the_reply(server: Server) -> None:
    assert server.ask(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER)) == [InstallPermission(NAME, PEER.host)]
    install, reply = server.installed()
    assert install == InstallChannel(NAME, 0x4000, PEER)
    assert isinstance(reply, TurnReply) and reply.error is None
    assert error_of([*server.ask(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER))]) == [(RequestId(3), None)]


def test_neither_a_channel_nor_its_peer_is_bound_to_another_even_while_the_first_waits(server: Server) -> None:
    """H-30."""
    server.ask(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER))
    for _ in range(2):
        assert server.refused(Method.CHANNEL_BIND, channel=0x4000, peers=peers(OTHER)) == 400
        assert server.refused(Method.CHANNEL_BIND, channel=0x4001, peers=peers(PEER)) == 400
        server.installed()
    same_host = Address(PEER.host, PEER.port + 1)
    assert server.answer(Method.CHANNEL_BIND, channel=0x4001, peers=peers(same_host)).error is None
    server.check()


def test_a_channel_lasts_600_seconds_and_its_permission_only_300(server: Server) -> None:
    server.answer(Method.REFRESH, lifetime_s=3600)
    server.answer(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER))
    assert server.later(300) == [RemovePermission(NAME, PEER.host)]
    assert server.later(299) == []
    assert server.later(1) == [RemoveChannel(NAME, 0x4000)]


def test_an_expired_channel_belongs_to_its_peer_for_five_more_minutes(server: Server) -> None:
    server.answer(Method.REFRESH, lifetime_s=3600)
    server.answer(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER))
    server.later(899)
    assert server.refused(Method.CHANNEL_BIND, channel=0x4000, peers=peers(OTHER)) == 400
    assert server.refused(Method.CHANNEL_BIND, channel=0x4001, peers=peers(PEER)) == 400
    server.later(1)
    assert server.answer(Method.CHANNEL_BIND, channel=0x4000, peers=peers(OTHER)).error is None


def test_an_expired_channel_comes_back_for_its_own_peer_at_once(server: Server) -> None:
    server.answer(Method.REFRESH, lifetime_s=3600)
    server.answer(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER))
    server.later(700)
    assert server.answer(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER)).error is None
    assert server.later(599) == [RemovePermission(NAME, PEER.host)]
    server.check()


def test_channels_are_capped_with_those_that_are_not_free_yet() -> None:
    server = Server(quotas=QuotaLimits(channels=1))
    server.allocate(lifetime_s=3600)
    server.answer(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER))
    assert server.refused(Method.CHANNEL_BIND, channel=0x4001, peers=peers(OTHER)) == 508
    server.later(899)
    assert server.refused(Method.CHANNEL_BIND, channel=0x4001, peers=peers(OTHER)) == 508
    server.later(1)
    assert server.answer(Method.CHANNEL_BIND, channel=0x4001, peers=peers(OTHER)).error is None


def test_an_answer_about_what_is_gone_is_ignored(server: Server) -> None:
    server.ask(Method.CREATE_PERMISSION, peers=peers(PEER))
    server.engine.waiting.clear()
    server.gone(1)
    server.engine.installing.append((NAME, PEER.host))
    assert server.installed("no_socket") == []
