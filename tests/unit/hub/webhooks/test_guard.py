"""Which addresses a webhook may go to."""

from __future__ import annotations

import ipaddress

import pytest

from agent_bus.webhooks import guard

PRIVATE = (
    "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.127.255.255", "0.0.0.0", "0.1.2.3",
    "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:100.64.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::",
    "::127.0.0.1", "2001:0:0:0:0:0:80ff:fffe",
)  # fmt: skip
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111",
    "::ffff:8.8.8.8", "64:ff9b::808:808",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_of_the_internet_is_refused(address: str) -> None:
    assert not guard.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert guard.is_public(ipaddress.ip_address(address))


def test_a_name_that_leads_to_private_addresses_needs_the_inventorys_word() -> None:
    with pytest.raises(guard.NotAllowedError, match="localhost has no public address"):
        guard.addresses("localhost", 80, allow_private=False)
    assert set(guard.addresses("localhost", 80, allow_private=True)) <= {"127.0.0.1", "::1"}


def test_a_private_address_among_public_ones_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(0, 0, 0, "", (one, 443)) for one in ("10.0.0.1", "1.1.1.1", "::1", "fe80::1%eth0")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: answers)
    assert guard.addresses("mixed.example", 443, allow_private=False) == ["1.1.1.1"]
