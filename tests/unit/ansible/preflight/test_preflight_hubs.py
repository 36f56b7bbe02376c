"""How many hubs an inventory may have, and what it may say of their database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from roles.preflight.filter_plugins.preflight_hubs import hub_findings

if TYPE_CHECKING:
    from pathlib import Path

URL = "postgresql://agent_bus@db.example:5432/agent_bus"


def said(count: int, **of_all: Any) -> str:
    names = [f"h{number}" for number in range(count)]
    found = hub_findings({"hub": names}, {name: dict(of_all) for name in names})
    return "\n".join(one["says"] for one in found)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_one_three_and_five_hubs_are_fine(count: int) -> None:
    assert said(count) == ""


@pytest.mark.parametrize(("count", "better"), [(2, "no safer than 1,"), (4, "no safer than 3,")])
def test_two_and_four_are_refused_with_the_reason(count: int, better: str) -> None:
    assert better in said(count)
    assert "more than half of them have to live" in said(count)
    assert "Take one out or add one" in said(count)


def test_more_than_five_are_refused() -> None:
    assert "keep five" in said(7)


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_any_number_shares_a_database_that_somebody_else_runs(count: int) -> None:
    assert said(count, message_bus_database=URL) == ""


def test_the_authority_of_that_database_is_a_certificate_here(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    given = {"message_bus_database": URL, "message_bus_database_ca": str(file)}
    wanted = f"message_bus_database_ca: {file} on this machine is no file with a certificate"
    assert said(2, **given).startswith(wanted)
    file.write_text("a key\n")
    assert said(2, **given).startswith(wanted)
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    assert said(2, **given) == ""


@pytest.mark.parametrize("database", ["/var/lib/bus.db", "mysql://db/bus", "postgresql://"])
def test_a_database_that_is_no_postgresql_is_refused(database: str) -> None:
    assert "is not the address of a PostgreSQL" in said(1, message_bus_database=database)


@pytest.mark.parametrize(
    "database",
    ["postgresql://agent_bus:secret@db/bus", "postgresql://db/bus?user=bus&password=secret"],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(database: str) -> None:
    words = said(1, message_bus_database=database)
    assert "message_bus_database_password" in words
    assert "secret" not in words


def test_what_makes_several_hubs_one_bus_is_the_same_for_all() -> None:
    hostvars: dict[str, dict[str, Any]] = {"a": {"message_bus_tls": "fleet"}, "b": {}, "c": {}}
    (found,) = hub_findings({"hub": ["a", "b", "c"]}, hostvars)
    assert "message_bus_tls is not the same" in found["says"]
