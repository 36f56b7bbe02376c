"""The address of a PostgreSQL: hosts in turn, and a password that is in no URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_bus.core import errors
from agent_bus.store.postgres.link.address import Address

if TYPE_CHECKING:
    from pathlib import Path


def test_each_host_has_its_port_and_all_share_the_rest() -> None:
    found = Address("postgresql://bus@one:5433,two,three:5434/fleet?sslmode=require").hosts()
    assert [one["host"] for one in found] == ["one", "two", "three"]
    assert [one.get("port") or "5432" for one in found] == ["5433", "5432", "5434"]
    assert {(one["user"], one["dbname"], one["sslmode"]) for one in found} == {
        ("bus", "fleet", "require")
    }
    assert all(one["connect_timeout"] for one in found)


def test_what_the_url_says_counts_more_than_what_is_usual() -> None:
    (found,) = Address("postgresql://bus@one/fleet?connect_timeout=9").hosts()
    assert found["connect_timeout"] == "9"


def test_a_socket_s_folder_is_a_host() -> None:
    (found,) = Address("postgresql://bus@/fleet?host=/run/postgresql&port=5433").hosts()
    assert (found["host"], found["port"]) == ("/run/postgresql", "5433")


def test_the_password_is_read_anew_and_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "password"
    address = Address("postgresql://bus@one/fleet", file)
    with pytest.raises(errors.StartupError, match="password"):
        address.hosts()
    for secret in ("first", "second"):
        file.write_text(f"{secret}\n")
        assert [one["password"] for one in address.hosts()] == [secret]
        assert secret not in address.shown
    assert address.shown == "fleet on one:5432"


def test_a_url_that_cannot_be_read_is_named() -> None:
    with pytest.raises(errors.StartupError, match="database"):
        Address("postgresql://one/fleet?nonsense=1").hosts()
