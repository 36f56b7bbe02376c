"""A PostgreSQL that somebody else runs: what is wrong with it is said with what to change."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.core import errors
from agent_bus.store.postgres.link import fitness
from agent_bus.store.postgres.link.address import Address
from tests.support import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Place:
    """A role that owns nothing, and a server to make databases on."""

    role: str
    admin: Any

    def address(self, name: str) -> Address:
        """A database, as the role is given it."""
        url = postgres.shared().url(name)
        return Address(url.replace("postgres@", f"{self.role}@"))


@pytest.fixture
def place() -> Iterator[Place]:
    role = f"r{secrets.token_hex(6)}"
    with postgres.shared().connect() as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        yield Place(role, admin)


def test_a_database_of_the_role_s_own_can_hold_the_bus(place: Place) -> None:
    name = postgres.new_database()
    place.admin.execute(f"ALTER DATABASE {name} OWNER TO {place.role}")
    assert "can hold the bus" in fitness.check(place.address(name))


def test_a_role_that_may_not_create_tables_is_told_how_it_may(place: Place) -> None:
    name = postgres.new_database()
    with pytest.raises(
        errors.StartupError, match=f'ALTER DATABASE "{name}" OWNER TO "{place.role}"'
    ):
        fitness.check(place.address(name))


def test_it_need_not_once_the_tables_are_there() -> None:
    name = postgres.new_database("migrated")
    assert "can hold the bus" in fitness.check(Address(postgres.shared().url(name)))


def test_another_encoding_is_refused(place: Place) -> None:
    name = f"t{secrets.token_hex(6)}"
    place.admin.execute(
        f"CREATE DATABASE {name} OWNER {place.role} TEMPLATE template0"
        " ENCODING 'LATIN1' LOCALE 'C'"
    )
    with pytest.raises(errors.StartupError, match="encoding LATIN1"):
        fitness.check(place.address(name))


def test_a_missing_database_is_named(place: Place) -> None:
    with pytest.raises(errors.StartupError, match='database "nowhere" does not exist'):
        fitness.check(place.address("nowhere"))


def test_an_old_server_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "OLDEST_SERVER", 990_000)
    with pytest.raises(errors.StartupError, match="is too old: 99 or newer is needed"):
        fitness.check(place.address("postgres"))
