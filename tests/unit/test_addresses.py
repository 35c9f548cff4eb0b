"""Which addresses are advertised."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest

from control.addresses import Address, Advertised, bindable, local_addresses
from control.addresses import advertised as _advertised

LOCAL = [ipaddress.ip_address(text) for text in ("192.0.2.1", "2001:db8::1", "127.0.0.1", "::1")]
ANY = ("0.0.0.0", "::")


def advertised(
    configured: Sequence[str], bound: Sequence[str], local: Sequence[Address], *, loopback: bool
) -> list[str]:
    """In text, which reads better."""
    return [
        str(each)
        for each in _advertised([Advertised.parse(text) for text in configured], bound, local, loopback=loopback)
    ]


def test_configured_addresses_are_the_only_ones_in_their_order() -> None:
    assert advertised(["203.0.113.9", "2001:db8::9", "203.0.113.9"], ANY, LOCAL, loopback=True) == [
        "203.0.113.9",
        "2001:db8::9",
    ]


def test_without_loopback_for_other_machines_with_it_in_development() -> None:
    assert advertised([], ANY, LOCAL, loopback=False) == ["192.0.2.1", "2001:db8::1"]
    assert advertised([], ANY, LOCAL, loopback=True) == ["192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"]


def test_only_what_the_sockets_are_bound_to() -> None:
    assert advertised([], ["0.0.0.0"], LOCAL, loopback=True) == ["192.0.2.1", "127.0.0.1"]
    assert advertised([], ["127.0.0.1", "::1"], LOCAL, loopback=True) == ["127.0.0.1", "::1"]
    assert advertised([], ["198.51.100.1"], LOCAL, loopback=True) == []


def test_this_machine_has_loopback_and_no_link_local() -> None:
    found = local_addresses()
    assert ipaddress.ip_address("127.0.0.1") in found
    assert not any(address.is_link_local for address in found)
    assert [address.is_loopback for address in found] == sorted(address.is_loopback for address in found)


def test_literal_addresses_are_always_tried() -> None:
    assert bindable(["203.0.113.77"]) == ("203.0.113.77",)
    assert "0.0.0.0" in bindable(ANY)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("203.0.113.7", "203.0.113.7", None),
        ("203.0.113.7:40000", "203.0.113.7", 40000),
        ("2001:db8::7", "2001:db8::7", None),
        ("2001:DB8:0::7", "2001:db8::7", None),
        ("[2001:db8::7]:40000", "2001:db8::7", 40000),
    ],
)
def test_an_advertised_address_may_have_a_port(text: str, host: str, port: int | None) -> None:
    parsed = Advertised.parse(text)
    assert (parsed.host, parsed.port) == (host, port)
    assert Advertised.parse(str(parsed)) == parsed
    assert parsed.port_of(2, own=7884) == (7884 if port is None else port + 2)


@pytest.mark.parametrize(
    "text", ["", "example.org", "example.org:1", "203.0.113.7:", "203.0.113.7:0", "203.0.113.7:65536", "203.0.113.7:+1",
             "[2001:db8::7]", "[203.0.113.7", "2001:db8::7::1", ":40000", "203.0.113.7:\u0661"]
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an IP address|has no port"):
        Advertised.parse(text)
