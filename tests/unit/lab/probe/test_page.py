from __future__ import annotations

import socket

import pytest

from lab.paths import LabError
from lab.probe import page


def test_a_port_that_somebody_has_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert page.free_port("127.0.0.1", port) not in (0, port)
    assert page.free_port("127.0.0.1", port) == port


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(LabError, match="no address of this machine"):
        page.free_port("192.0.2.1", 8091)


def test_a_link_has_the_address_in_brackets_where_it_needs_them() -> None:
    assert page.base_url("http", "127.0.0.1", 8091) == "http://127.0.0.1:8091"
    assert page.base_url("https", "::1", 80) == "https://[::1]:80"


def test_a_fleet_that_is_not_up_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main(["--name", "no-such-fleet", "", ""]) == 1
    assert "fleet no-such-fleet is not up" in capsys.readouterr().err
