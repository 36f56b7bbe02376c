from __future__ import annotations

import pytest

from filter_plugins import fleet


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("[::]", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("192.168.1.20", "192.168.1.20"),
        ("t440.lan", "t440.lan"),
        ("fd00::7", "[fd00::7]"),
        ("[fd00::7]", "[fd00::7]"),
    ],
)
def test_the_bus_is_reached_on_its_own_host_where_it_listens(bind: str, address: str) -> None:
    assert fleet.local_address(bind) == address
