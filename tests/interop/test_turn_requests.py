"""What clients with good credentials, or nearly good ones, may ask of TURN: nonces, integrity, attributes, peers and quotas.

The numbers H-.. are rows of the list of hostile inputs that test_turn_hostile.py begins.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support import stun, turn
from tests.support.stun import Address, Attribute, Kind, Message, Method
from tests.support.turn import UDP_RELAY, Account, Probe, family, lifetime, transport
from tests.support.turn_server import ADA, BOB, REALM, TurnServer, rest_account

PEER: Address = ("10.1.2.3", 4000)
TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])

# ---------------------------------------------------------------------------------------- nonces and integrity


@TRANSPORTS
def test_an_allocation_is_made_refreshed_and_deleted(turn_server: TurnServer, transport: str) -> None:
    probe = turn_server.probe(transport)
    answer = probe.request(Method.ALLOCATE, UDP_RELAY)
    assert answer.error is None
    assert answer.number(Kind.LIFETIME) == 600
    assert answer.address(Kind.XOR_MAPPED_ADDRESS) == probe.wire.socket.getsockname()  # type: ignore[attr-defined]
    relayed = answer.address(Kind.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert 49_152 <= relayed[1] <= 65_535
    assert probe.refresh(1_200).number(Kind.LIFETIME) == 1_200
    assert probe.refresh(0).number(Kind.LIFETIME) == 0
    assert probe.refresh(600).error == 437


@pytest.mark.parametrize("nonce", [b"", b"x", b"obMatJos2wAAA" + b"A" * 16, b"A" * 29, bytes(763)], ids=len)
def test_h15_a_forged_nonce_is_stale(turn_server: TurnServer, nonce: bytes) -> None:
    probe = turn_server.probe()
    probe.challenge()
    good, probe.nonce = probe.nonce, nonce
    answer = probe.ask(probe.write(Method.ALLOCATE, UDP_RELAY))
    assert answer.error == 438
    assert len(answer.first(Kind.NONCE) or b"") == len(good)
    assert answer.first(Kind.REALM) == REALM.encode()


@TRANSPORTS
def test_h16_an_authenticated_allocate_is_worth_nothing_from_another_port(
    turn_server: TurnServer, transport: str
) -> None:
    honest = turn_server.probe(transport)
    honest.challenge()
    captured = honest.write(Method.ALLOCATE, UDP_RELAY)
    assert honest.ask(captured).error is None
    assert turn_server.probe(transport).ask(captured).error == 438
    # Nor of the same address over something else.
    here = honest.wire.socket.getsockname()[0]  # type: ignore[attr-defined]
    for other in ("udp", "tcp", "tls"):
        if other != transport:
            assert turn_server.probe(other, source=here).ask(captured).error == 438


def _wrong_password(probe: Probe) -> bytes:
    probe.account = Account(ADA.username, "wrong")
    return probe.write(Method.ALLOCATE, UDP_RELAY)


def _unknown_user(probe: Probe) -> bytes:
    probe.account = Account("eve", ADA.password)
    return probe.write(Method.ALLOCATE, UDP_RELAY)


def _wrong_realm(probe: Probe) -> bytes:
    probe.realm = "turn.tess"
    return probe.write(Method.ALLOCATE, UDP_RELAY)


def _changed_request(probe: Probe) -> bytes:
    whole = probe.write(Method.ALLOCATE, lifetime(700), UDP_RELAY)
    return whole[:27] + bytes([whole[27] ^ 1]) + whole[28:]


def _unknown_userhash(probe: Probe) -> bytes:
    attributes = [UDP_RELAY, (Kind.USERHASH, bytes(32)), *probe.credentials()[1:]]
    return stun.signed(stun.build(Method.ALLOCATE, attributes), probe.key)


def _rest_user_of_nobody(probe: Probe) -> bytes:
    probe.account = Account("1790000000:ada", "wrong")
    return probe.write(Method.ALLOCATE, UDP_RELAY)


def test_h17_why_credentials_are_no_good_cannot_be_told(turn_server: TurnServer) -> None:
    wrong: list[Callable[[Probe], bytes]] = [
        _wrong_password,
        _unknown_user,
        _wrong_realm,
        _changed_request,
        _unknown_userhash,
        _rest_user_of_nobody,
    ]
    looks = set()
    for make in wrong:
        probe = turn_server.probe()
        challenge = probe.challenge()
        answer = probe.ask(make(probe))
        assert answer.error == 401, make.__name__
        assert _look(answer) == _look(challenge), make.__name__
        looks.add(_look(answer))
    assert len(looks) == 1
    counted = turn_server.counts("turn_auth_failures_total")
    assert {"realm", "unknown_user", "integrity"} <= set(counted)


def _look(answer: Message) -> tuple[tuple[int, int], ...]:
    return tuple((kind, len(value)) for kind, value in answer.attributes)


@TRANSPORTS
def test_h19_sha256_is_offered_and_accepted_alone(turn_server: TurnServer, transport: str) -> None:
    probe = turn_server.probe(transport)
    probe.challenge()
    assert probe.nonce.startswith(b"obMatJos2")
    assert probe.algorithms is not None
    probe.sha256 = True
    probe.allocate()
    assert probe.bind(0x4000, PEER) is None
    assert probe.refresh(0).is_signed_with(probe.key, sha256=True)


def test_h19_a_username_may_be_hidden(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    probe.challenge()
    probe.sha256 = True
    userhash = hashlib.sha256(f"{ADA.username}:{REALM}".encode()).digest()
    attributes = [UDP_RELAY, (Kind.USERHASH, userhash), *probe.credentials()[1:]]
    answer = probe.ask(stun.signed(stun.build(Method.ALLOCATE, attributes), probe.key, sha256=True))
    assert answer.error is None
    assert answer.is_signed_with(probe.key, sha256=True)


@pytest.mark.parametrize("offer", ["removed", "md5 only", "other order", "no choice"])
def test_h19_a_client_whose_offer_was_changed_on_the_way_is_refused(turn_server: TurnServer, offer: str) -> None:
    """RFC 8489 section 9.2.4: somebody on the path wants the weaker algorithm."""
    probe = turn_server.probe()
    probe.challenge()
    assert probe.algorithms is not None
    attributes: list[Attribute] = [UDP_RELAY, *probe.credentials()]
    match offer:
        case "removed":
            attributes.append((Kind.PASSWORD_ALGORITHM, turn.SHA256))
        case "md5 only":
            attributes += [
                (Kind.PASSWORD_ALGORITHMS, bytes([0, 1, 0, 0])),
                (Kind.PASSWORD_ALGORITHM, bytes([0, 1, 0, 0])),
            ]
        case "other order":
            other = probe.algorithms[4:] + probe.algorithms[:4]
            attributes += [(Kind.PASSWORD_ALGORITHMS, other), (Kind.PASSWORD_ALGORITHM, turn.SHA256)]
        case _:
            attributes.append((Kind.PASSWORD_ALGORITHMS, probe.algorithms))
    answer = probe.ask(stun.signed(stun.build(Method.ALLOCATE, attributes), probe.key))
    assert answer.error == 400


def test_h19_of_two_integrity_attributes_the_first_counts(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    probe.challenge()
    named = stun.build(Method.ALLOCATE, [UDP_RELAY, *probe.credentials()])
    good_second = stun.signed(stun.signed(named, b"wrong"), probe.key)
    assert probe.ask(good_second).error == 401
    named = stun.build(Method.ALLOCATE, [UDP_RELAY, *probe.credentials()])
    assert probe.ask(stun.signed(stun.signed(named, probe.key), b"wrong")).error is None


@pytest.mark.parametrize("length", [0, 4, 8, 12, 16, 19, 21, 24])
def test_h19_a_shortened_mac_grants_nothing(turn_server: TurnServer, length: int) -> None:
    probe = turn_server.probe()
    probe.challenge()
    named = stun.build(Method.ALLOCATE, [UDP_RELAY, *probe.credentials()])
    cut = stun.signed(named, probe.key, length=min(length, 20))
    if length > 20:
        cut = stun.appended(named, (Kind.MESSAGE_INTEGRITY, stun.signed(named, probe.key)[-20:] + bytes(length - 20)))
    assert _refusals(probe, cut) in ([], [400], [401])
    assert probe.refresh(600).error == 437


@pytest.mark.parametrize(
    ("length", "granted"), [(0, False), (4, False), (12, False), (15, False), (16, True), (32, True)]
)
def test_h19_a_sha256_mac_may_be_cut_to_sixteen_bytes(turn_server: TurnServer, length: int, granted: bool) -> None:
    """RFC 8489 section 14.6."""
    probe = turn_server.probe()
    probe.challenge()
    probe.sha256 = True
    named = stun.build(Method.ALLOCATE, [UDP_RELAY, *probe.credentials()])
    codes = _refusals(probe, stun.signed(named, probe.key, sha256=True, length=length))
    assert codes == [None] if granted else codes in ([], [400], [401])
    assert probe.refresh(600).error == (None if granted else 437)


def test_h19_a_fingerprint_in_front_of_the_integrity_grants_nothing(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    probe.challenge()
    named = stun.fingerprinted(stun.build(Method.ALLOCATE, [UDP_RELAY, *probe.credentials()]))
    assert _refusals(probe, stun.signed(named, probe.key)) in ([], [400], [401])
    assert probe.refresh(600).error == 437


def _refusals(probe: Probe, message: bytes) -> list[int | None]:
    """The codes of what answers a message: none, or one. A Refresh behind it sees to it that Python has decided."""
    probe.send(message)
    behind = probe.write(Method.REFRESH)
    probe.send(behind)
    found: list[int | None] = []
    while (data := probe.receive()) is not None:
        answer = stun.parse(data)
        if answer.transaction == behind[8:20]:
            return found
        found.append(answer.error)
    raise AssertionError("the server is silent for good")


def test_h20_what_stands_behind_the_signature_does_not_count(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    probe.allocate()
    answer = probe.ask(probe.write(Method.REFRESH, behind=[lifetime(0)]))
    assert answer.number(Kind.LIFETIME) == 600
    answer = probe.ask(probe.write(Method.REFRESH, lifetime(900), behind=[lifetime(0)]))
    assert answer.number(Kind.LIFETIME) == 900
    assert probe.refresh(600).error is None

    denied: Attribute = (Kind.XOR_PEER_ADDRESS, stun.xored(("127.0.0.2", 80)))
    allowed: Attribute = (Kind.XOR_PEER_ADDRESS, stun.xored(PEER))
    assert probe.ask(probe.write(Method.CREATE_PERMISSION, behind=[allowed])).error == 400
    assert probe.ask(probe.write(Method.CREATE_PERMISSION, allowed, behind=[denied])).error is None
    channel = (int(Kind.CHANNEL_NUMBER), bytes([0x40, 0, 0, 0]))
    assert probe.ask(probe.write(Method.CHANNEL_BIND, allowed, behind=[channel])).error == 400


# ------------------------------------------------------------------------------------------------- allocations


@TRANSPORTS
def test_h21_a_repeated_allocate_is_answered_alike_and_another_one_is_refused(
    turn_server: TurnServer, transport: str
) -> None:
    probe = turn_server.probe(transport)
    probe.challenge()
    request = probe.write(Method.ALLOCATE, UDP_RELAY)
    first, again = probe.ask(request), probe.ask(request)
    assert first.error is None
    assert again.raw == first.raw
    assert probe.request(Method.ALLOCATE, UDP_RELAY).error == 437


@pytest.mark.parametrize("protocol", [0, 6, 99, 255])
def test_h22_only_udp_is_relayed(turn_server: TurnServer, protocol: int) -> None:
    assert turn_server.probe().request(Method.ALLOCATE, transport(protocol)).error == 442


def test_h22_an_allocate_has_to_say_what_it_wants(turn_server: TurnServer) -> None:
    assert turn_server.probe().request(Method.ALLOCATE).error == 400


def test_h23_even_ports_and_reservations(turn_server: TurnServer) -> None:
    token: Attribute = (Kind.RESERVATION_TOKEN, secrets.token_bytes(8))
    even: Attribute = (Kind.EVEN_PORT, b"\x80")
    assert turn_server.probe().request(Method.ALLOCATE, UDP_RELAY, even, token).error == 400
    assert turn_server.probe().request(Method.ALLOCATE, UDP_RELAY, token).error == 508

    probe = turn_server.probe()
    granted = probe.request(Method.ALLOCATE, UDP_RELAY, even)
    relayed, reserved = granted.address(Kind.XOR_RELAYED_ADDRESS), granted.first(Kind.RESERVATION_TOKEN)
    assert relayed is not None and reserved is not None
    assert relayed[1] % 2 == 0
    # Somebody else's token is no token; its owner has it once.
    assert turn_server.probe(account=BOB).request(Method.ALLOCATE, UDP_RELAY, (token[0], reserved)).error == 508
    second = turn_server.probe().request(Method.ALLOCATE, UDP_RELAY, (token[0], reserved))
    assert second.address(Kind.XOR_RELAYED_ADDRESS) == (relayed[0], relayed[1] + 1)
    assert turn_server.probe().request(Method.ALLOCATE, UDP_RELAY, (token[0], reserved)).error == 508


@pytest.mark.parametrize("value", [b"", b"\x80\0", b"\x80\0\0\0"], ids=len)
def test_h23_values_of_another_length_are_refused(turn_server: TurnServer, value: bytes) -> None:
    assert turn_server.probe().request(Method.ALLOCATE, UDP_RELAY, (Kind.EVEN_PORT, value)).error == 400


def test_h24_address_families(turn_server: TurnServer) -> None:
    assert turn_server.probe().request(Method.ALLOCATE, UDP_RELAY, family(0x55)).error == 440
    six = turn_server.probe().request(Method.ALLOCATE, UDP_RELAY, family(2))
    assert ":" in (six.address(Kind.XOR_RELAYED_ADDRESS) or ("", 0))[0]
    additional = family(2, Kind.ADDITIONAL_ADDRESS_FAMILY)
    both = turn_server.probe().request(Method.ALLOCATE, UDP_RELAY, additional)
    assert [":" in host for host, _ in both.addresses(Kind.XOR_RELAYED_ADDRESS)] == [False, True]
    for wrong in ([family(1), additional], [family(1, Kind.ADDITIONAL_ADDRESS_FAMILY)]):
        assert turn_server.probe().request(Method.ALLOCATE, UDP_RELAY, *wrong).error == 400


@pytest.mark.parametrize(("asked", "granted"), [(2**32 - 1, 3600), (3601, 3600), (1, 600), (601, 601)], ids=str)
def test_h25_lifetimes_are_bounded(turn_server: TurnServer, asked: int, granted: int) -> None:
    probe = turn_server.probe()
    assert probe.request(Method.ALLOCATE, UDP_RELAY, lifetime(asked)).number(Kind.LIFETIME) == granted
    assert probe.refresh(asked).number(Kind.LIFETIME) == granted


def test_an_unknown_attribute_that_must_be_understood_is_told_to_known_clients_only(turn_server: TurnServer) -> None:
    unknown: Attribute = (0x7ABC, b"1234")
    probe = turn_server.probe()
    answer = probe.request(Method.ALLOCATE, UDP_RELAY, unknown)
    assert answer.error == 420
    assert answer.first(Kind.UNKNOWN_ATTRIBUTES) == b"\x7a\xbc"
    assert answer.is_signed_with(probe.key)
    probe.account = Account("eve", "wrong")
    assert probe.request(Method.ALLOCATE, UDP_RELAY, unknown).error == 401


# -------------------------------------------------------------------------------------------- peers, channels

# Our own media is on 127.0.0.1 and ::1 in these tests.
NEVER_V4 = [
    "127.0.0.2", "127.255.255.255", "0.0.0.0", "0.1.2.3", "169.254.169.254", "192.0.0.1", "192.0.2.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
NEVER_V6 = [
    "::2", "::", "::127.0.0.1", "::10.1.2.3", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a01:203", "2002:7f00:1::1",
    "2002:a9fe:a9fe::1", "2001:0:a01:203::1", "2001:db8::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1", "::ffff:0:127.0.0.1",
]  # fmt: skip
PRIVATE_V4 = [
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "100.127.255.255",
]
PRIVATE_V6 = ["fd00::1", "fc00::1", "64:ff9b::a01:203", "2002:a01:203::1"]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111"]


def _refused_peer(server: TurnServer, probe: Probe, host: str, port: int) -> tuple[int | None, int | None]:
    """(by CreatePermission, by ChannelBind)"""
    return probe.permit((host, port)), probe.bind(0x4000 + secrets.randbelow(0x3000), (host, port))


@pytest.mark.parametrize("host", [*NEVER_V4, *NEVER_V6])
def test_h26_and_h27_what_is_never_a_peer_is_none_even_when_everything_is_allowed(
    open_turn_server: TurnServer, host: str
) -> None:
    probe = open_turn_server.probe()
    probe.allocate(family(2 if ":" in host else 1))
    assert _refused_peer(open_turn_server, probe, host, 4000) == (403, 403)


@pytest.mark.parametrize("host", ["127.0.0.2", "0.0.0.0", "169.254.169.254", "10.1.2.3"])
def test_h27_an_ipv4_address_in_the_clothes_of_ipv6_is_that_ipv4_address(turn_server: TurnServer, host: str) -> None:
    probe = turn_server.probe()
    probe.allocate()
    transaction = secrets.token_bytes(12)
    clothed: Attribute = (Kind.XOR_PEER_ADDRESS, stun.xored((f"::ffff:{host}", 4000), transaction))
    answer = probe.request(Method.CREATE_PERMISSION, clothed, transaction=transaction)
    assert answer.error == (None if host == PEER[0] else 403)


@pytest.mark.parametrize("host", [*PRIVATE_V4, *PRIVATE_V6, *PUBLIC])
def test_h26_nobody_is_a_peer_unless_the_configuration_says_so(
    closed_turn_server: TurnServer, open_turn_server: TurnServer, host: str
) -> None:
    version = family(2 if ":" in host else 1)
    closed, opened = closed_turn_server.probe(), open_turn_server.probe()
    closed.allocate(version)
    assert _refused_peer(closed_turn_server, closed, host, 4000) == (403, 403)
    opened.allocate(version)
    assert _refused_peer(open_turn_server, opened, host, 4000) == (None, None)


def test_h26_our_own_listeners_and_relayed_addresses_are_no_peers(open_turn_server: TurnServer) -> None:
    """Or two allocations would be a loop for whoever wants one."""
    first, second = open_turn_server.probe(), open_turn_server.probe()
    relayed = first.allocate()
    second.allocate()
    for port in (relayed[1], open_turn_server.ports.udp):
        assert _refused_peer(open_turn_server, second, relayed[0], port) == (403, 403)
        assert _refused_peer(open_turn_server, first, relayed[0], port) == (403, 403)


def test_h26_of_several_peers_one_that_is_refused_refuses_all(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    probe.allocate()
    assert probe.permit(PEER, ("127.0.0.2", 1)) == 403
    assert probe.permit(("127.0.0.2", 1), PEER) == 403
    turn_server.until_metric("turn_permissions", lambda value: value == 0)


def test_h28_a_peer_of_the_other_family_is_refused(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    probe.allocate()
    assert _refused_peer(turn_server, probe, "fd00::1", 4000) == (443, 443)
    six = turn_server.probe()
    six.allocate(family(2))
    assert _refused_peer(turn_server, six, PEER[0], 4000) == (443, 443)


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        (0, 400),
        (0x3FFF, 400),
        (0x4000, None),
        (0x4FFF, None),
        (0x5000, None),
        (0x7FFE, None),
        (0x7FFF, 400),
        (0xFFFF, 400),
    ],
    ids=lambda value: f"{value:#x}" if value else None,
)
def test_h29_channels_are_those_that_older_clients_use_too(
    turn_server: TurnServer, channel: int, error: int | None
) -> None:
    probe = turn_server.probe()
    probe.allocate()
    assert probe.bind(channel, PEER) == error


def test_h30_a_channel_keeps_its_peer_and_a_peer_its_channel(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    probe.allocate()
    assert probe.bind(0x4000, PEER) is None
    assert probe.bind(0x4000, PEER) is None
    assert probe.bind(0x4000, (PEER[0], PEER[1] + 1)) == 400
    assert probe.bind(0x4001, PEER) == 400
    assert probe.bind(0x4001, (PEER[0], PEER[1] + 1)) is None


def test_h31_an_allocation_has_256_permissions_and_256_channels_at_most(turn_server: TurnServer) -> None:
    permitting, binding = turn_server.probe(), turn_server.probe()
    permitting.allocate()
    answers = [permitting.permit(*((f"10.2.{block}.{host}", 9) for host in range(50))) for block in range(30)]
    assert answers == [None] * 5 + [508] * 25  # all of a request's, or none
    assert permitting.permit(("10.2.0.7", 9)) is None  # which it has
    binding.allocate()
    errors = [binding.bind(0x4000 + number, (PEER[0], 1 + number)) for number in range(300)]
    assert errors == [None] * 256 + [508] * 44


def test_a_hundred_peers_fit_a_request_and_one_more_does_not(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    probe.allocate()
    assert probe.permit(*((f"10.3.0.{host}", 9) for host in range(100))) is None
    assert probe.permit(*((f"10.3.0.{host}", 9) for host in range(101))) == 400


# ---------------------------------------------------------------------------------------------- who may do what


def test_an_allocation_is_its_makers(turn_server: TurnServer) -> None:
    """441 for another user on the same 5-tuple, whatever it asks."""
    probe = turn_server.probe()
    probe.allocate()
    probe.account = BOB
    assert probe.refresh(0).error == 441
    assert probe.permit(PEER) == 441
    assert probe.bind(0x4000, PEER) == 441
    probe.account = ADA
    assert probe.refresh(600).error is None


def test_one_user_has_a_number_of_allocations_and_others_have_theirs(small_turn_server: TurnServer) -> None:
    probes = [small_turn_server.probe() for _ in range(4)]
    assert [probe.request(Method.ALLOCATE, UDP_RELAY).error for probe in probes] == [None, None, 486, 486]
    others = [small_turn_server.probe(account=BOB) for _ in range(3)]
    assert [probe.request(Method.ALLOCATE, UDP_RELAY).error for probe in others] == [None, None, 486]
    for probe in (*probes[:2], *others[:2]):
        assert probe.refresh(0).error is None


def test_ports_end_and_rest_before_somebody_else_gets_them(small_turn_server: TurnServer) -> None:
    """Eight ports: whoever talks to one that was given back would talk to a stranger."""
    users = [rest_account(f"user{number}") for number in range(10)]
    probes = [small_turn_server.probe(account=account) for account in users]
    errors = [probe.request(Method.ALLOCATE, UDP_RELAY).error for probe in probes]
    granted = errors.count(None)
    assert granted <= 8  # those of the test before may rest
    assert errors == [None] * granted + [508] * (10 - granted)
    for probe in probes[:granted]:
        assert probe.refresh(0).error is None
    assert small_turn_server.probe(account=users[9]).request(Method.ALLOCATE, UDP_RELAY).error == 508


def test_credentials_made_with_the_secret_are_good_until_their_time(turn_server: TurnServer) -> None:
    assert turn_server.probe(account=rest_account("carol")).request(Method.ALLOCATE, UDP_RELAY).error is None
    assert turn_server.probe(account=rest_account("carol", -1)).request(Method.ALLOCATE, UDP_RELAY).error == 401
    # What was made in time is served on.
    probe = turn_server.probe(account=rest_account("carol", 2))
    probe.allocate()
    time.sleep(2.1)
    assert probe.refresh(600).error is None
    assert turn_server.probe(account=probe.account).request(Method.ALLOCATE, UDP_RELAY).error == 401


@pytest.mark.parametrize(
    "name",
    [
        b"", b"ada\0", b"ada\r\nready http://evil/meet", b"\xff\xfe", b"%s%n", b"a" * 513, b"a" * 3_000, "a\u0301da".encode(),
        b":", b"-1:ada", b"9" * 400 + b":ada", b"1e9:ada", "١٧٩:ada".encode(),
    ],
    ids=lambda name: repr(name[:24]),
)  # fmt: skip
def test_usernames_that_are_none_get_nothing_and_say_nothing(turn_server: TurnServer, name: bytes) -> None:
    probe = turn_server.probe()
    probe.challenge()
    attributes = [UDP_RELAY, (Kind.USERNAME, name), *probe.credentials()[1:]]
    key = hashlib.md5(name + f":{REALM}:{ADA.password}".encode()).digest()
    assert _refusals(probe, stun.signed(stun.build(Method.ALLOCATE, attributes), key)) in ([], [400], [401])
    assert probe.refresh(600).error == 437
    assert "evil" not in turn_server.server.log(10_000_000)


@pytest.mark.parametrize("missing", [Kind.USERNAME, Kind.REALM, Kind.NONCE])
def test_credentials_that_lack_a_part_are_refused(turn_server: TurnServer, missing: Kind) -> None:
    probe = turn_server.probe()
    probe.challenge()
    attributes = [UDP_RELAY, *(each for each in probe.credentials() if each[0] != missing)]
    assert probe.ask(stun.signed(stun.build(Method.ALLOCATE, attributes), probe.key)).error == 400


def test_a_client_gets_no_more_than_its_share_of_requests(turn_server: TurnServer) -> None:
    """300 a second of one allocation; whoever has none is a stranger who may send 50."""
    probe = turn_server.probe()
    probe.allocate()
    before = turn_server.server.footprint().cpu_s
    started = time.monotonic()
    requests = [probe.write(Method.REFRESH, lifetime(600)) for _ in range(2_000)]
    answered = _answered(probe, requests)
    seconds = time.monotonic() - started
    spent = turn_server.server.footprint().cpu_s - before
    print(f"{answered} answers in {seconds:.2f} s, {spent:.2f} s of CPU")
    assert 100 <= answered <= 300 * (1 + seconds)

    guessing = turn_server.probe(account=replace(ADA, password="wrong"))
    guessing.challenge()
    started = time.monotonic()
    answered = _answered(guessing, [guessing.write(Method.ALLOCATE, UDP_RELAY) for _ in range(500)])
    assert 20 <= answered <= 50 * (1 + time.monotonic() - started)


def _answered(probe: Probe, requests: list[bytes]) -> int:
    answers = 0
    for at in range(0, len(requests), 50):  # what a socket's buffer holds
        for request in requests[at : at + 50]:
            probe.send(request)
        answers += sum(1 for _ in iter(lambda: probe.receive(0.02), None))
    return answers + sum(1 for _ in iter(lambda: probe.receive(0.3), None))
