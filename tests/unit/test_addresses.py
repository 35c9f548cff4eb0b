"""Which addresses are advertised."""

from __future__ import annotations

import ipaddress

from control.addresses import advertised, bindable, local_addresses

LOCAL = [ipaddress.ip_address(text) for text in ("192.0.2.1", "2001:db8::1", "127.0.0.1", "::1")]
ANY = ("0.0.0.0", "::")


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
